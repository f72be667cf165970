"""A site over HTTPS, from certificates to curl. Runs in a network namespace of its own, where the
region may build its fabric: `unshare --net --mount python https_site.py BINARY FOLDER`."""

import http.client
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import boto3
import botocore.config

BINARY, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
RESOLVER = ("127.0.0.1", 5300)
RECORDS = {}


def skyhold(*words):
    command = [BINARY, "--data-dir", str(FOLDER), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"skyhold {words}: {done.stdout}{done.stderr}"
    return done.stdout


def until(what, look, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not in time: {what}")


def labels(name):
    parts = [part.encode() for part in name.rstrip(".").split(".")]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def answer(question):
    """Answers a query for a canonical name out of RECORDS."""
    name, at = [], 12
    while question[at]:
        name.append(question[at + 1 : at + 1 + question[at]].decode())
        at += question[at] + 1
    end = at + 5
    alias = RECORDS.get(".".join(name).lower() + ".")
    flags = 0x8180 if alias else 0x8183
    head = question[:2] + struct.pack(">5H", flags, 1, 1 if alias else 0, 0, 0)
    if not alias:
        return head + question[12:end]
    data = labels(alias)
    record = b"\xc0\x0c" + struct.pack(">2HIH", 5, 1, 60, len(data)) + data
    return head + question[12:end] + record


def serve_names():
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(RESOLVER)

    def serve():
        while True:
            question, asker = listening.recvfrom(2048)
            listening.sendto(answer(question), asker)

    threading.Thread(target=serve, daemon=True).start()


def client(service):
    keys = json.loads((FOLDER / "credentials.json").read_text())
    return boto3.client(
        service,
        endpoint_url=keys["endpoint_url"],
        region_name=keys["region"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        config=botocore.config.Config(retries={"max_attempts": 1}),
    )


def network():
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    only = [{"Name": "vpc-id", "Values": [vpc]}]
    table = ec2.describe_route_tables(Filters=only)["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{n}.0/24", AvailabilityZone=zones[n])
        for n in range(2)
    ]
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    for port in (80, 443):
        ec2.authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
        )
    return [it["Subnet"]["SubnetId"] for it in subnets], group


def certificate(acm, domain):
    arn = acm.request_certificate(
        DomainName=domain, ValidationMethod="DNS", SubjectAlternativeNames=[f"*.{domain}"]
    )["CertificateArn"]

    def describe():
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]

    options = until("the records", lambda: describe().get("DomainValidationOptions"))
    assert describe()["Status"] == "PENDING_VALIDATION"
    for option in options:
        record = option["ResourceRecord"]
        RECORDS[record["Name"]] = record["Value"]
    until("a certificate", lambda: describe()["Status"] == "ISSUED")
    return arn


def imported(acm, domain):
    key, pem = FOLDER / "own.key", FOLDER / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj",
         f"/CN={domain}", "-addext", f"subjectAltName=DNS:{domain}",
         "-keyout", str(key), "-out", str(pem)],
        check=True, capture_output=True,
    )
    made = acm.import_certificate(Certificate=pem.read_bytes(), PrivateKey=key.read_bytes())
    key.unlink()
    return made["CertificateArn"]


def fixed(text):
    response = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": text}
    return [{"Type": "fixed-response", "FixedResponseConfig": response}]


def curl(*words, fails=False):
    done = subprocess.run(["curl", "-sS", "-m", "20", *words], capture_output=True, text=True)
    assert (done.returncode != 0) == fails, f"curl {words}: {done.stdout}{done.stderr}"
    return done.stdout if not fails else done.stderr


def shown(address, name):
    """The certificate that a node shows, as its subject alternative names and its serial."""
    context = ssl.create_default_context(cafile=str(FOLDER / "both.pem"))
    with socket.create_connection((address, 443), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as wire:
            found = wire.getpeercert()
            return {value for _, value in found["subjectAltName"]}, found["serialNumber"]


def bare(address, name):
    """The certificate that a node shows, whatever it is."""
    context = ssl._create_unverified_context()
    with socket.create_connection((address, 443), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as wire:
            return wire.getpeercert(binary_form=True)


def secrets_on_disk():
    """Files that hold a private key in clear, beside the region's own keys; in `run` are sockets
    and namespaces."""
    found = []
    for path in FOLDER.rglob("*"):
        apart = {"keys", "run"} & set(path.relative_to(FOLDER).parts)
        if path.is_file() and not apart and b"PRIVATE KEY-----" in path.read_bytes():
            found.append(str(path))
    return found


def main():
    serve_names()
    host, port = RESOLVER
    skyhold("up", "--detach", "--listen", "127.0.0.1:4566", "--resolver", f"{host}:{port}")
    acm, elb = client("acm"), client("elbv2")
    site, shop = certificate(acm, "site.example"), certificate(acm, "shop.example")
    own = imported(acm, "own.example")
    subnets, group = network()
    lb = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[group])
    lb = lb["LoadBalancers"][0]
    arn, name = lb["LoadBalancerArn"], lb["DNSName"]
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    elb.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}],
    )
    secure = elb.create_listener(
        LoadBalancerArn=arn, Protocol="HTTPS", Port=443, DefaultActions=fixed("site"),
        Certificates=[{"CertificateArn": site}],
    )["Listeners"][0]
    listener = secure["ListenerArn"]
    assert secure["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    more = [{"CertificateArn": it} for it in (shop, own)]
    for one in more:
        elb.add_listener_certificates(ListenerArn=listener, Certificates=[one])
    condition = {"Field": "host-header", "HostHeaderConfig": {"Values": ["*shop.example"]}}
    elb.create_rule(
        ListenerArn=listener, Priority=1, Conditions=[condition], Actions=fixed("shop")
    )
    users = acm.describe_certificate(CertificateArn=shop)["Certificate"]["InUseBy"]
    assert users == [arn], users
    try:
        acm.delete_certificate(CertificateArn=shop)
        raise AssertionError("a certificate in use was deleted")
    except acm.exceptions.ResourceInUseException:
        pass

    def active():
        found = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
        return found["State"]["Code"] == "active"

    until("the load balancer", active)
    only = [{"Name": "description", "Values": [f"ELB {arn.split('loadbalancer/')[1]}"]}]

    def public():
        found = client("ec2").describe_network_interfaces(Filters=only)["NetworkInterfaces"]
        all_of = [it.get("Association", {}).get("PublicIp") for it in found]
        return all_of if len(all_of) == 2 and all(all_of) else None

    addresses = until("two addresses", public)
    address = addresses[0]
    root = FOLDER / "keys" / "ca.pem"
    (FOLDER / "both.pem").write_text(root.read_text() + (FOLDER / "own.pem").read_text())
    until("the listeners", lambda: all(reaches(it) for it in addresses))

    def get(host, *words):
        place = ["--cacert", str(root), "--resolve", f"{host}:443:{address}"]
        return curl(*place, *words, f"https://{host}/")

    assert get("site.example") == "site"
    assert get("www.shop.example") == "shop"
    version = ["-o", "/dev/null", "-w", "%{http_version} %{ssl_verify_result}"]
    assert get("site.example", *version) == "2 0"
    assert get("site.example", "--http1.1", *version) == "1.1 0"
    head = curl("-I", "--resolve", f"site.example:80:{address}", "http://site.example/a?b=c")
    assert "301" in head.splitlines()[0], head
    assert "https://site.example:443/a?b=c" in head, head
    for other in addresses:
        assert shown(other, "site.example")[0] == {"site.example", "*.site.example"}
        assert shown(other, "a.shop.example")[0] == {"shop.example", "*.shop.example"}
        assert shown(other, "own.example")[0] == {"own.example"}
    unknown = ["--cacert", str(root), "--resolve", f"else.example:443:{address}"]
    curl(*unknown, "https://else.example/", fails=True)
    old = ["--cacert", str(root), "--resolve", f"site.example:443:{address}"]
    curl(*old, "--tlsv1.0", "--tls-max", "1.1", "https://site.example/", fails=True)
    assert curl(*old, "--tls-max", "1.2", "https://site.example/") == "site"
    elb.modify_listener(ListenerArn=listener, SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")
    until("TLS 1.3 alone", lambda: refuses_old(address, root))
    print("certificates, SNI, ALPN, redirect and versions hold", name)

    # A renewal: the region's clock goes to 44 days before the end, a connection stays open.
    before = bare(address, "site.example")
    context = ssl._create_unverified_context()
    kept = http.client.HTTPSConnection(address, 443, context=context, timeout=20)
    kept.request("GET", "/", headers={"Host": "site.example"})
    assert kept.getresponse().read() == b"site"
    skyhold("clock", "advance", "154d")
    until("the new certificate", lambda: bare(address, "site.example") != before)
    kept.request("GET", "/", headers={"Host": "site.example"})
    assert kept.getresponse().read() == b"site"
    print("a renewed certificate reached the node, and an open connection went on")
    assert secrets_on_disk() == [], secrets_on_disk()
    print("no private key lies open")


def reaches(address):
    try:
        socket.create_connection((address, 443), 1).close()
        return True
    except OSError:
        return False


def refuses_old(address, root):
    words = ["--cacert", str(root), "--resolve", f"site.example:443:{address}", "--tls-max", "1.2"]
    done = subprocess.run(
        ["curl", "-sS", "-m", "5", *words, "https://site.example/"], capture_output=True
    )
    return done.returncode == 35


try:
    main()
finally:
    subprocess.run([BINARY, "--data-dir", str(FOLDER), "down"], timeout=120)
