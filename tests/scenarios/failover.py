"""Primaries that are lost under writes, as their clients see it: through the endpoint's name, from
a customer's network. Shared by the scenarios and the bench."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from conftest import until

PROGRAM = Path(__file__).with_name("rows.py")
USER, PASSWORD = "owner", "correct-horse-9"
PORTS = {"mariadb": 3306, "postgres": 5432, "valkey": 6379}

# How a customer sees that the standby holds every commit.
IN_STEP = {
    "mariadb": "SELECT COUNT(*) FROM information_schema.GLOBAL_STATUS WHERE"
    " (VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_STATUS' AND VARIABLE_VALUE = 'ON')"
    " OR (VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_CLIENTS' AND VARIABLE_VALUE = '1')",
    "postgres": "SELECT 2 * COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
}


class Network:
    """The default VPC, a client in it, and the security group that lets it in."""

    def __init__(self, region):
        self.region = region
        self.ec2 = ec2 = region.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        self.subnets = sorted(subnets, key=lambda subnet: subnet["AvailabilityZone"])[:2]
        self.vpc = self.subnets[0]["VpcId"]
        self.cidr = ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"][0]["CidrBlock"]
        clients = self.group("clients")
        self.data = self.group("data")
        # Nothing but clients: the nodes' own traffic is no matter of the customer's.
        permissions = [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
             "UserIdGroupPairs": [{"GroupId": clients}]}
            for port in PORTS.values()
        ]
        ec2.authorize_security_group_ingress(GroupId=self.data, IpPermissions=permissions)
        made = ec2.create_network_interface(
            SubnetId=self.subnets[0]["SubnetId"], Groups=[clients]
        )["NetworkInterface"]
        self.interface = made["NetworkInterfaceId"]
        self.resolver = region.folder / "resolv.conf"
        address = self.cidr.split("/")[0].rsplit(".", 1)[0] + ".2"
        self.resolver.write_text(f"nameserver {address}\noptions timeout:1 attempts:2\n")
        until("the client's namespace", lambda: self.namespace(self.interface), 20)

    def group(self, name: str) -> str:
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return made["GroupId"]

    def namespace(self, what: str) -> Path | None:
        found = list((self.region.folder / "run/netns").glob(f"*-{what}"))
        return found[0] if found else None

    def inside(self, *words: str) -> list[str]:
        """A command of the client's: its network, and the VPC's own resolver."""
        shell = f'mount --bind {self.resolver} /etc/resolv.conf && exec "$@"'
        namespace = str(self.namespace(self.interface))
        enter = ["nsenter", f"--net={namespace}", "unshare", "--mount", "sh", "-c", shell, "sh"]
        return [*enter, sys.executable, str(PROGRAM), *words]

    def run(self, *words: str):
        done = subprocess.run(self.inside(*words), capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def answers(self, address: str, port: int) -> bool:
        return self.run("reach", "any", address, str(port), "", "")


class Writers:
    """Rows on their way: a process that writes until the block ends."""

    def __init__(self, network: Network, service, count: int = 4):
        self.acknowledged, self.failures = [], []
        command = network.inside(
            "write", service.engine, service.host, str(service.port), USER, PASSWORD, str(count)
        )
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            told = json.loads(line)
            if "row" in told:
                self.acknowledged.append((told["at"], tuple(told["row"])))
            else:
                self.failures.append((told["at"], told["failed"]))

    def more(self, count: int, seconds: float = 60) -> None:
        enough = len(self.acknowledged) + count
        until(f"{count} more rows", lambda: len(self.acknowledged) >= enough, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.reader.join()

    def silence(self, since: float) -> float:
        """How long after `since` the longest silence ended."""
        times = [since, *(at for at, _ in self.acknowledged if at > since)]
        gaps = [(later - earlier, later) for earlier, later in zip(times, times[1:])]
        return max(gaps)[1] - since


class Service:
    """A database or a cache over two zones."""

    def __init__(self, network: Network, engine: str, version: str):
        self.network, self.engine, self.port = network, engine, PORTS[engine]
        self.name = f"{engine}-1"
        self.make(version)

    def namespace(self) -> Path:
        """That of the primary's interface."""
        zone = self.primary()
        eni = next(eni for eni in self.interfaces() if eni["AvailabilityZone"] == zone)
        return self.network.namespace(eni["NetworkInterfaceId"])

    def interfaces(self) -> list[dict]:
        own = [{"Name": "description", "Values": [self.description]}]
        return self.network.ec2.describe_network_interfaces(Filters=own)["NetworkInterfaces"]

    def delete(self) -> None:
        self.begin_to_delete()
        until(f"{self.name} to be gone", lambda: not self.interfaces(), 60)

    def processes(self) -> list[int]:
        """The primary's own, the first of them first."""
        inside = self.namespace().stat().st_ino
        own = [pid for pid in all_processes() if network_of(pid) == inside]
        return sorted(own, key=lambda pid: not is_first(pid))

    def ask(self, query: str):
        words = (self.engine, self.host, str(self.port), USER, PASSWORD, query)
        return self.network.run("ask", *words)


class Database(Service):
    """A DB instance in Multi-AZ."""

    description = "RDSNetworkInterface"

    def make(self, version: str) -> None:
        network = self.network
        self.rds = network.region.client("rds")
        self.rds.create_db_subnet_group(
            DBSubnetGroupName=self.name, DBSubnetGroupDescription="two zones",
            SubnetIds=[subnet["SubnetId"] for subnet in network.subnets],
        )
        self.rds.create_db_instance(
            DBInstanceIdentifier=self.name, Engine=self.engine, EngineVersion=version,
            DBInstanceClass="db.t3.micro", AllocatedStorage=20, MultiAZ=True, DBName="shop",
            MasterUsername=USER, MasterUserPassword=PASSWORD, DBSubnetGroupName=self.name,
            VpcSecurityGroupIds=[network.data], BackupRetentionPeriod=0,
        )
        until(f"{self.name}", lambda: self.described()["DBInstanceStatus"] == "available", 120)
        self.host = self.described()["Endpoint"]["Address"]
        key = "PRIMARY KEY (writer, number)"
        table = f"CREATE TABLE written (writer BIGINT, number BIGINT, {key})"
        until("the table", lambda: self.ask(table) is not None, 20)

    def begin_to_delete(self) -> None:
        self.rds.delete_db_instance(DBInstanceIdentifier=self.name, SkipFinalSnapshot=True)

    def described(self) -> dict:
        found = self.rds.describe_db_instances(DBInstanceIdentifier=self.name)
        return found["DBInstances"][0]

    def primary(self) -> str:
        """Its zone."""
        return self.described()["AvailabilityZone"]

    def whole(self) -> bool:
        return self.ask(IN_STEP[self.engine]) == [["2"]]

    def rows(self) -> set:
        return {tuple(map(int, row)) for row in self.ask("SELECT writer, number FROM written")}


class Cache(Service):
    """A replication group."""

    description = "ElastiCache"

    def make(self, version: str) -> None:
        network = self.network
        self.caches = network.region.client("elasticache")
        self.caches.create_cache_subnet_group(
            CacheSubnetGroupName=self.name, CacheSubnetGroupDescription="two zones",
            SubnetIds=[subnet["SubnetId"] for subnet in network.subnets],
        )
        self.caches.create_replication_group(
            ReplicationGroupId=self.name, ReplicationGroupDescription="sessions",
            Engine=self.engine, EngineVersion=version, CacheNodeType="cache.t3.micro",
            NumCacheClusters=2, AutomaticFailoverEnabled=True, MultiAZEnabled=True,
            CacheSubnetGroupName=self.name, SecurityGroupIds=[network.data],
        )
        until(f"{self.name}", lambda: self.described()["Status"] == "available", 120)
        group = self.described()["NodeGroups"][0]
        self.host = group["PrimaryEndpoint"]["Address"]

    def begin_to_delete(self) -> None:
        self.caches.delete_replication_group(ReplicationGroupId=self.name)

    def described(self) -> dict:
        found = self.caches.describe_replication_groups(ReplicationGroupId=self.name)
        return found["ReplicationGroups"][0]

    def primary(self) -> str:
        """Its zone."""
        members = self.described()["NodeGroups"][0]["NodeGroupMembers"]
        primary = next(one for one in members if one["CurrentRole"] == "primary")
        return primary["PreferredAvailabilityZone"]

    def whole(self) -> bool:
        roles = self.ask("WAIT 1 500")
        return roles == [[":1"]]


def all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def network_of(pid: int) -> int | None:
    """The network namespace of a process that runs a program of its own."""
    try:
        if os.readlink(f"/proc/{pid}/exe").endswith("skyhold"):
            return None
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def is_first(pid: int) -> bool:
    """Whether it is the first process of its workload. Their numbers do not tell: they go round."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).endswith("\t1")


def kill(service: Service) -> None:
    os.kill(service.processes()[0], signal.SIGKILL)


def hang(service: Service) -> None:
    for pid in service.processes():
        os.kill(pid, signal.SIGSTOP)


def cut(service: Service) -> None:
    """Takes the primary's link down behind everyone's back."""
    link = "e" + service.namespace().name.rsplit("-", 1)[1][-14:]
    router = f"--net={service.network.namespace(service.network.vpc)}"
    subprocess.run(["nsenter", router, "ip", "link", "set", link, "down"], check=True)


FAULTS = {"kill": kill, "hang": hang, "link": cut}

# In seconds, until writes are acknowledged again.
LIMITS = {"kill": 2.0, "hang": 15.0, "link": 15.0}


def lose_primary(service: Service, fault: str) -> dict:
    """Does `fault` to the primary under writes, and tells what its clients saw."""
    until("all nodes to be in step", service.whole, 60)
    before = service.primary()
    with Writers(service.network, service) as writers:
        writers.more(100)
        pause = time.monotonic()
        FAULTS[fault](service)
        began = time.monotonic()
        until("another primary", lambda: service.primary() != before, 60)
        writers.more(100)
        rejoined = until("all nodes to be in step", lambda: service.whole() and time.monotonic(), 90)
    acknowledged = {row for _, row in writers.acknowledged}
    lost = acknowledged - service.rows() if isinstance(service, Database) else set()
    return {
        "engine": service.engine, "fault": fault, "writable": writers.silence(pause),
        "whole": rejoined - began, "acknowledged": len(acknowledged), "lost": len(lost),
    }
