"""Who reaches whom in a VPC, computed from what the EC2 API describes and nothing else.

AWS: "Amazon VPC User Guide": route tables, network ACLs (stateless, per subnet, in the order of their
numbers), security groups (stateful, per interface), internet gateways, NAT gateways. TCP only.
"""

from ipaddress import ip_address, ip_network

# A port that clients connect from.
EPHEMERAL = 40_000
TCP = ("-1", "6", "tcp")


class Network:
    """One VPC as it is described now, and one host of the internet."""

    def __init__(self, ec2, vpc: str, outside: str):
        own = [{"Name": "vpc-id", "Values": [vpc]}]
        self.outside = outside
        self.cidr = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]
        self.acls = ec2.describe_network_acls(Filters=own)["NetworkAcls"]
        self.tables = ec2.describe_route_tables(Filters=own)["RouteTables"]
        groups = ec2.describe_security_groups(Filters=own)["SecurityGroups"]
        self.groups = {group["GroupId"]: group for group in groups}
        attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
        gateways = ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]
        self.gateways = {gateway["InternetGatewayId"] for gateway in gateways}
        interfaces = ec2.describe_network_interfaces(Filters=own)["NetworkInterfaces"]
        self.interfaces = {i["PrivateIpAddress"]: i for i in interfaces}
        public = [i for i in interfaces if "PublicIp" in i.get("Association", {})]
        self.public = {i["Association"]["PublicIp"]: i for i in public}
        nats = ec2.describe_nat_gateways(Filter=own)["NatGateways"]
        self.nats = {n["NatGatewayId"]: n for n in nats if n["State"] == "available"}

    def reaches(self, source: str, destination: str, port: int) -> bool:
        """Whether a connection from one address to another is made."""
        if source == self.outside:
            return self.enters(self.outside, destination, port)
        start = self.interfaces[source]
        if destination in self.interfaces:
            return self.inside(start, self.interfaces[destination], port)
        return self.leaves(start, destination, port)

    def inside(self, start: dict, end: dict, port: int) -> bool:
        here, there = start["PrivateIpAddress"], end["PrivateIpAddress"]
        return (
            self.group_allows(start, "IpPermissionsEgress", there, end, port)
            and self.group_allows(end, "IpPermissions", here, start, port)
            and (start["SubnetId"] == end["SubnetId"] or (
                self.crosses(start["SubnetId"], True, there, port)
                and self.crosses(end["SubnetId"], False, here, port)
            ))
        )

    def leaves(self, start: dict, destination: str, port: int) -> bool:
        """To the internet, and to a public address of the VPC, which is reached over the internet."""
        subnet = start["SubnetId"]
        if not self.group_allows(start, "IpPermissionsEgress", destination, None, port):
            return False
        if not self.crosses(subnet, True, destination, port):
            return False
        target = self.route(subnet, destination)
        if target in self.gateways:
            seen_as = start.get("Association", {}).get("PublicIp")
        elif target in self.nats:
            seen_as = self.translated(self.nats[target], start, destination, port)
        else:
            return False
        if not seen_as:
            return False
        return destination == self.outside or self.enters(seen_as, destination, port)

    def translated(self, nat: dict, start: dict, destination: str, port: int) -> str | None:
        """The address that a NAT gateway gives a connection, if it lets it pass."""
        subnet, here = nat["SubnetId"], start["PrivateIpAddress"]
        comes = subnet == start["SubnetId"] or self.crosses(subnet, False, here, port)
        goes = self.crosses(subnet, True, destination, port)
        if not (comes and goes and self.route(subnet, destination) in self.gateways):
            return None
        return nat["NatGatewayAddresses"][0]["PublicIp"]

    def enters(self, source: str, destination: str, port: int) -> bool:
        """From the internet to a public address."""
        end = self.public.get(destination)
        if end is None or end.get("InterfaceType") in ("nat_gateway", "natGateway"):
            return False
        return (
            bool(self.gateways)
            and self.route(end["SubnetId"], source) in self.gateways
            and self.crosses(end["SubnetId"], False, source, port)
            and self.group_allows(end, "IpPermissions", source, None, port)
        )

    def route(self, subnet: str, destination: str) -> str | None:
        """What the longest matching route leads to."""
        def serves(table, wanted):
            return any(a.get("SubnetId") == wanted for a in table["Associations"])

        own = [t for t in self.tables if serves(t, subnet)]
        main = [t for t in self.tables if any(a.get("Main") for a in t["Associations"])]
        routes = (own or main)[0]["Routes"]
        fitting = [
            r for r in routes
            if ip_address(destination) in ip_network(r["DestinationCidrBlock"])
        ]
        if not fitting:
            return None
        best = max(fitting, key=lambda r: ip_network(r["DestinationCidrBlock"]).prefixlen)
        if best["State"] != "active":
            return None
        return best.get("GatewayId") or best.get("NatGatewayId")

    def crosses(self, subnet: str, egress: bool, peer: str, port: int) -> bool:
        """Whether a subnet's list passes the connection's packets, and those that answer."""
        return self.acl_allows(subnet, egress, peer, port) and self.acl_allows(
            subnet, not egress, peer, EPHEMERAL
        )

    def acl_allows(self, subnet: str, egress: bool, peer: str, port: int) -> bool:
        def serves(acl):
            return any(a["SubnetId"] == subnet for a in acl["Associations"])

        acl = next(acl for acl in self.acls if serves(acl))
        entries = [e for e in acl["Entries"] if e["Egress"] == egress and "CidrBlock" in e]
        for entry in sorted(entries, key=lambda e: e["RuleNumber"]):
            ports = entry.get("PortRange", {"From": 0, "To": 65535})
            if (
                entry["Protocol"] in TCP
                and ports["From"] <= port <= ports["To"]
                and ip_address(peer) in ip_network(entry["CidrBlock"])
            ):
                return entry["RuleAction"] == "allow"
        return False

    def group_allows(self, own: dict, direction: str, address: str, peer: dict | None, port: int) -> bool:
        """Whether a group of `own` allows it; by address, or by the groups that the peer is in."""
        member_of = {group["GroupId"] for group in peer["Groups"]} if peer else set()
        for group in own["Groups"]:
            for rule in self.groups[group["GroupId"]].get(direction, []):
                if rule["IpProtocol"] not in TCP:
                    continue
                if rule["IpProtocol"] != "-1" and not rule["FromPort"] <= port <= rule["ToPort"]:
                    continue
                ranges = [ip_network(r["CidrIp"]) for r in rule.get("IpRanges", [])]
                pairs = {pair["GroupId"] for pair in rule.get("UserIdGroupPairs", [])}
                if any(ip_address(address) in r for r in ranges) or pairs & member_of:
                    return True
        return False
