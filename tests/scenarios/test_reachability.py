"""Four tiers: who reaches whom is exactly what the network's layers say, and each layer counts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from conftest import until
from oracle import Network

PORTS = (22, 80, 8080, 3306)
# A host of the internet and its way there, from a block that is for documentation.
OUTSIDE, UPLINK = "203.0.113.10", "203.0.113.1"
TIERS = ("front", "web", "app", "data")
EVERYWHERE = "0.0.0.0/0"

# Answers on every port; ssh is there already.
LISTEN = """#!/bin/sh
systemd-run --quiet --unit=ports python3 -c '
import socket, threading
def serve(port):
    listening = socket.create_server(("", port))
    while True:
        listening.accept()[0].close()
for port in (80, 8080, 3306):
    threading.Thread(target=serve, args=(port,)).start()
'
"""

# Runs in a tier's network: reads lists of addresses, writes which could be connected to.
PROBE = """
import asyncio, json, sys

async def probe(address, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 0.6)
        writer.close()
        return True
    except OSError:
        return False

async def all_of(wanted):
    return await asyncio.gather(*(probe(address, port) for address, port in wanted))

for line in sys.stdin:
    print(json.dumps(asyncio.run(all_of(json.loads(line)))), flush=True)
"""


class Source:
    """Somebody who tries to connect."""

    def __init__(self, *enter: str):
        self.process = subprocess.Popen(
            [*enter, sys.executable, "-c", PROBE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def ask(self, wanted: list) -> None:
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()

    def answer(self) -> list[bool]:
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Outside:
    """A host in a network of its own, which knows this one as the way to the region."""

    def __init__(self):
        self.processes = [subprocess.Popen(["unshare", "--net", "sleep", "infinity"])]
        self.namespace = f"/proc/{self.processes[0].pid}/ns/net"

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self) -> None:
        own = Path("/proc/self/ns/net").readlink()
        until("the host's network", lambda: Path(self.namespace).readlink() != own)
        namespace = str(self.processes[0].pid)
        run([*"ip link add outside type veth peer name eth0 netns".split(), namespace])
        run(f"ip address add {UPLINK}/24 dev outside".split())
        run("ip link set outside up".split())
        for words in (f"address add {OUTSIDE}/24 dev eth0", "link set lo up", "link set eth0 up",
                      f"route add default via {UPLINK}"):
            run(["nsenter", f"--net={self.namespace}", "ip", *words.split()])
        served = [sys.executable, "-m", "http.server", "80", "--directory", "/proc/self/fdinfo"]
        self.processes.append(subprocess.Popen(
            ["nsenter", f"--net={self.namespace}", *served],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ))

    def __exit__(self, *_) -> None:
        # Its other end goes with it; there is none when the network could not be built.
        subprocess.run("ip link delete outside".split(), capture_output=True, check=False)
        for process in self.processes:
            process.kill()
            process.wait()


def run(words: list[str]) -> None:
    subprocess.run(words, check=True)


class World:
    """The network, built through the EC2 API, and who is in it."""

    def __init__(self, region, outside: Outside):
        self.ec2 = ec2 = region.client("ec2")
        zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.subnets = {}
        for number, tier in enumerate(TIERS):
            made = ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone
            )
            self.subnets[tier] = made["Subnet"]["SubnetId"]
        self.tables = {name: self.table(*tiers) for name, tiers in {
            "public": ["front"], "private": ["web", "app"], "data": ["data"],
        }.items()}
        ec2.create_route(
            RouteTableId=self.tables["public"], DestinationCidrBlock=EVERYWHERE,
            GatewayId=self.gateway,
        )
        self.nat = self.nat_gateway()
        ec2.create_route(
            RouteTableId=self.tables["private"], DestinationCidrBlock=EVERYWHERE,
            NatGatewayId=self.nat,
        )
        self.acl = self.open_acl("web")
        self.groups = {tier: self.group(tier) for tier in TIERS}
        self.rules()
        self.launch()
        self.sources = {"outside": Source("nsenter", f"--net={outside.namespace}")}
        for tier in TIERS:
            namespace = next((region.folder / "run" / "netns").glob(f"*-{self.interfaces[tier]}"))
            self.sources[tier] = Source("nsenter", f"--net={namespace}")

    def table(self, *tiers: str) -> str:
        made = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        for tier in tiers:
            self.ec2.associate_route_table(RouteTableId=made, SubnetId=self.subnets[tier])
        return made

    def nat_gateway(self) -> str:
        self.nat_address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = self.ec2.create_nat_gateway(
            SubnetId=self.subnets["front"], AllocationId=self.nat_address
        )["NatGateway"]["NatGatewayId"]

        def state():
            described = self.ec2.describe_nat_gateways(NatGatewayIds=[made])
            return described["NatGateways"][0]["State"] == "available"

        until("the NAT gateway", state)
        return made

    def open_acl(self, tier: str) -> str:
        """A list of a subnet's own that lets everything pass."""
        made = self.ec2.create_network_acl(VpcId=self.vpc)["NetworkAcl"]["NetworkAclId"]
        for egress in (False, True):
            self.entry(made, 100, egress, "allow")
        inside = [{"Name": "association.subnet-id", "Values": [self.subnets[tier]]}]
        found = self.ec2.describe_network_acls(Filters=inside)["NetworkAcls"][0]["Associations"]
        own = next(a for a in found if a["SubnetId"] == self.subnets[tier])
        self.ec2.replace_network_acl_association(
            AssociationId=own["NetworkAclAssociationId"], NetworkAclId=made
        )
        return made

    def entry(self, acl: str, number: int, egress: bool, action: str, *ports: int) -> None:
        limits = {"Protocol": "6", "PortRange": {"From": ports[0], "To": ports[1]}} if ports else {}
        self.ec2.create_network_acl_entry(**{
            "NetworkAclId": acl, "RuleNumber": number, "Egress": egress, "RuleAction": action,
            "CidrBlock": EVERYWHERE, "Protocol": "-1", **limits,
        })

    def group(self, tier: str) -> str:
        made = self.ec2.create_security_group(GroupName=tier, Description=tier, VpcId=self.vpc)
        return made["GroupId"]

    def rules(self) -> None:
        """As in the blueprint: each tier hears the one before it, and the front the internet."""
        self.ec2.authorize_security_group_ingress(
            GroupId=self.groups["front"], IpProtocol="tcp", FromPort=80, ToPort=80,
            CidrIp=EVERYWHERE,
        )
        for source, tier, port in [("front", "web", 80), ("web", "app", 8080), ("app", "data", 3306)]:
            self.ec2.authorize_security_group_ingress(
                GroupId=self.groups[tier], IpPermissions=[self.permission(source, port)]
            )

    def permission(self, source: str, port: int) -> dict:
        pairs = [{"GroupId": self.groups[source]}]
        return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pairs}

    def launch(self) -> None:
        named = [{"Name": "name", "Values": ["debian-12-amd64-*"]}]
        image = self.ec2.describe_images(Filters=named)["Images"][0]["ImageId"]
        self.instances = {}
        for tier in TIERS:
            made = self.ec2.run_instances(
                ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1, UserData=LISTEN,
                SubnetId=self.subnets[tier], SecurityGroupIds=[self.groups[tier]],
            )
            self.instances[tier] = made["Instances"][0]["InstanceId"]

        def described():
            ids = list(self.instances.values())
            found = self.ec2.describe_instances(InstanceIds=ids)["Reservations"]
            instances = [i for r in found for i in r["Instances"]]
            return {i["InstanceId"]: i for i in instances if i["State"]["Name"] == "running"}

        until("four running instances", lambda: len(described()) == len(TIERS))
        found = {tier: described()[self.instances[tier]] for tier in TIERS}
        self.private = {tier: i["PrivateIpAddress"] for tier, i in found.items()}
        self.interfaces = {
            tier: i["NetworkInterfaces"][0]["NetworkInterfaceId"] for tier, i in found.items()
        }
        self.address = self.ec2.allocate_address(Domain="vpc")
        self.associate()

    def associate(self) -> None:
        self.ec2.associate_address(
            AllocationId=self.address["AllocationId"], InstanceId=self.instances["front"]
        )

    def disassociate(self) -> None:
        own = self.ec2.describe_addresses(AllocationIds=[self.address["AllocationId"]])
        self.ec2.disassociate_address(AssociationId=own["Addresses"][0]["AssociationId"])

    def destinations(self) -> dict[str, str]:
        return {"outside": OUTSIDE, "public": self.address["PublicIp"], **self.private}

    def pairs(self) -> list[tuple[str, str, int]]:
        """Everybody to everybody else, on every port."""
        names = [(s, d) for s in self.sources for d in self.destinations() if s != d]
        return [(s, d, port) for s, d in names for port in PORTS]

    def open(self) -> set[tuple[str, str, int]]:
        """Which connections are made."""
        pairs, where = self.pairs(), self.destinations()
        for name, source in self.sources.items():
            source.ask([(where[d], port) for s, d, port in pairs if s == name])
        answers = {name: iter(source.answer()) for name, source in self.sources.items()}
        return {pair for pair in pairs if next(answers[pair[0]])}

    def expected(self) -> set[tuple[str, str, int]]:
        """Which should be, by what the API describes."""
        network, where = Network(self.ec2, self.vpc, OUTSIDE), self.destinations()
        addresses = {**self.private, "outside": OUTSIDE}
        return {
            (s, d, port) for s, d, port in self.pairs()
            if network.reaches(addresses[s], where[d], port)
            # The host on the internet listens on one port only.
            and (d != "outside" or port == 80)
        }

    def settled(self) -> set[tuple[str, str, int]]:
        """What is open, once that is exactly what is described."""
        last = set()

        def agrees():
            last.clear()
            last.update(self.open() ^ self.expected())
            return not last

        try:
            until("the network to be as described", agrees, 10)
        except AssertionError as vain:
            raise AssertionError(f"{vain}; they differ in {sorted(last)}") from None
        return self.expected()

    def end(self) -> None:
        for source in self.sources.values():
            source.end()
        self.ec2.terminate_instances(InstanceIds=list(self.instances.values()))


@pytest.fixture(scope="module")
def world(module_region):
    with Outside() as outside:
        made = World(module_region, outside)
        loopback = [("127.0.0.1", port) for port in PORTS]

        def listens(tier):
            made.sources[tier].ask(loopback)
            return all(made.sources[tier].answer())

        for tier in TIERS:
            until(f"{tier} to listen", lambda tier=tier: listens(tier))
        yield made
        made.end()


WAYS_OUT = {("front", "outside", 80), ("web", "outside", 80), ("app", "outside", 80)}
TO_FRONT = {(source, "public", 80) for source in ("outside", "front", "web", "app")}
INSIDE = {
    *((source, "front", 80) for source in ("web", "app", "data")),
    ("front", "web", 80),
    ("web", "app", 8080),
    ("app", "data", 3306),
}


def test_everybody_reaches_exactly_what_the_groups_let_them(world):
    assert world.settled() == WAYS_OUT | TO_FRONT | INSIDE


class Layer:
    """A layer that is taken away and put back."""

    def __init__(self, remove, restore, broken):
        self.remove, self.restore, self.broken = remove, restore, broken


def route(world, table, **target) -> tuple:
    where = {"RouteTableId": world.tables[table], "DestinationCidrBlock": EVERYWHERE}
    return (
        lambda: world.ec2.delete_route(**where),
        lambda: world.ec2.create_route(**where, **target),
    )


def acl_entry(world, egress: bool, *ports: int) -> tuple:
    named = {"NetworkAclId": world.acl, "RuleNumber": 50, "Egress": egress}
    return (
        lambda: world.entry(world.acl, 50, egress, "deny", *ports),
        lambda: world.ec2.delete_network_acl_entry(**named),
    )


def rule(world, tier: str, source: str, port: int) -> tuple:
    asked = {"GroupId": world.groups[tier], "IpPermissions": [world.permission(source, port)]}
    return (
        lambda: world.ec2.revoke_security_group_ingress(**asked),
        lambda: world.ec2.authorize_security_group_ingress(**asked),
    )


def membership(world, tier: str, other: str) -> tuple:
    instance = world.instances[tier]

    def become(group):
        world.ec2.modify_instance_attribute(InstanceId=instance, Groups=[world.groups[group]])

    return (lambda: become(other), lambda: become(tier))


LAYERS = {
    "the route to the internet": lambda w: Layer(
        *route(w, "public", GatewayId=w.gateway), WAYS_OUT | TO_FRONT,
    ),
    "the route to the NAT gateway": lambda w: Layer(
        *route(w, "private", NatGatewayId=w.nat),
        {(tier, name, 80) for tier in ("web", "app") for name in ("outside", "public")},
    ),
    "the list's way in": lambda w: Layer(*acl_entry(w, False, 80, 80), {("front", "web", 80)}),
    # Lists keep no state: without a way out for answers nothing gets in either.
    "the list's way out for answers": lambda w: Layer(
        *acl_entry(w, True, 1024, 65535), {("front", "web", 80), ("web", "app", 8080)},
    ),
    "the list's way in for answers": lambda w: Layer(
        *acl_entry(w, False, 1024, 65535),
        {("web", name, 80) for name in ("outside", "public", "front")} | {("web", "app", 8080)},
    ),
    "a group's rule": lambda w: Layer(*rule(w, "data", "app", 3306), {("app", "data", 3306)}),
    # As a member of the data group it hears what that hears, and speaks for it.
    "the membership in a group": lambda w: Layer(
        *membership(w, "web", "data"), {("front", "web", 80), ("web", "app", 8080)},
    ),
    "the public address": lambda w: Layer(
        w.disassociate, w.associate, {("front", "outside", 80)} | TO_FRONT,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_without_a_layer_exactly_what_it_carries_breaks(world, name):
    before, layer = world.expected(), LAYERS[name](world)
    layer.remove()
    without = world.settled()
    gained = {("app", "web", 3306)} if name == "the membership in a group" else set()
    assert (before - without, without - before) == (layer.broken, gained)
    layer.restore()
    assert world.settled() == before


def test_without_the_internet_gateway_only_the_inside_is_left(world):
    """It cannot go while addresses are mapped through it, so they go first; all comes back."""
    ec2, before = world.ec2, world.expected()
    with pytest.raises(ClientError) as refused:
        ec2.detach_internet_gateway(InternetGatewayId=world.gateway, VpcId=world.vpc)
    assert refused.value.response["Error"]["Code"] == "DependencyViolation"

    world.disassociate()
    ec2.delete_nat_gateway(NatGatewayId=world.nat)

    def gone():
        described = ec2.describe_nat_gateways(NatGatewayIds=[world.nat])["NatGateways"]
        return all(nat["State"] == "deleted" for nat in described)

    until("the NAT gateway to be gone", gone)
    ec2.release_address(AllocationId=world.nat_address)
    ec2.detach_internet_gateway(InternetGatewayId=world.gateway, VpcId=world.vpc)
    assert world.settled() == INSIDE

    ec2.attach_internet_gateway(InternetGatewayId=world.gateway, VpcId=world.vpc)
    world.associate()
    world.nat = world.nat_gateway()
    ec2.replace_route(
        RouteTableId=world.tables["private"], DestinationCidrBlock=EVERYWHERE,
        NatGatewayId=world.nat,
    )
    assert world.settled() == before
