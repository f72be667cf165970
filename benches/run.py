"""Times a release build as its users meet it, in a network namespace of its own.

Run by `cargo xtask bench`, as root. Prints one line a figure; nothing here passes or fails.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

sys.path.append(str(Path(__file__).parents[1] / "tests" / "scenarios"))

import sweep
from load import Load

SKYHOLD = os.environ["SKYHOLD_BIN"]
ENDPOINT = "127.0.0.1:4566"


class Region:
    def __init__(self, folder: str):
        self.folder = folder

    def command(self, *words: str) -> str:
        command = [SKYHOLD, "--data-dir", self.folder, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def client(self, service: str):
        keys = json.loads((Path(self.folder) / "credentials.json").read_text())
        return boto3.client(
            service,
            endpoint_url=keys["endpoint_url"],
            region_name=keys["region"],
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            config=Config(max_pool_connections=64),
        )

    def status(self) -> dict:
        return json.loads(self.command("status", "--json"))


def show(name: str, value: float, unit: str) -> None:
    print(f"{name:<56} {value:>10.3f} {unit}", flush=True)


def until(condition, seconds: float):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit("a bench waited in vain")


def start(region: Region) -> None:
    before = time.monotonic()
    region.command("up", "--detach", "--listen", ENDPOINT)
    show("up, empty folder, until ready", time.monotonic() - before, "s")
    sts = region.client("sts")
    sts.get_caller_identity()
    show("memory of the control plane when idle", region.status()["rss_mib"], "MiB")
    before = time.monotonic()
    for _ in range(500):
        sts.get_caller_identity()
    show("get-caller-identity, one boto3 client", 500 / (time.monotonic() - before), "calls/s")


def banner(address: str) -> bool:
    import socket

    with socket.create_connection((address, 22), timeout=0.2) as stream:
        return stream.recv(4) == b"SSH-"


def instances(region: Region) -> None:
    ec2 = region.client("ec2")
    images = ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-12-amd64-*"]}])
    image = images["Images"][0]["ImageId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )

    def run(count: int) -> None:
        before = time.monotonic()
        made = ec2.run_instances(
            ImageId=image, InstanceType="t3.micro", MinCount=count, MaxCount=count
        )
        answered = time.monotonic() - before
        ids = [instance["InstanceId"] for instance in made["Instances"]]

        def addresses():
            described = ec2.describe_instances(InstanceIds=ids)["Reservations"]
            found = [i.get("PublicIpAddress") for r in described for i in r["Instances"]]
            return found if all(found) else None

        for address in until(addresses, 60):
            until(lambda address=address: banner(address), 60)
        show(f"run-instances of {count}: the call", answered, "s")
        show(f"run-instances of {count}: until every ssh banner", time.monotonic() - before, "s")
        ec2.terminate_instances(InstanceIds=ids)

        def gone():
            described = ec2.describe_instances(InstanceIds=ids)["Reservations"]
            states = {i["State"]["Name"] for r in described for i in r["Instances"]}
            return states == {"terminated"}

        until(gone, 60)

    for count in (1, 1, 1, 20, 50):
        run(count)


def lamp(region: Region) -> None:
    before = time.monotonic()
    out = region.command("demo", "lamp")
    show("demo lamp: from the first command to the page", time.monotonic() - before, "s")
    answered = re.search(r"after ([0-9.]+) s", out)
    show("demo lamp: from deploy to the first 200", float(answered.group(1)), "s")
    url = out.strip().splitlines()[-1]
    before = time.monotonic()
    for _ in range(200):
        with urllib.request.urlopen(url, timeout=5) as page:
            page.read()
    show("pages through both tiers, one client", 200 / (time.monotonic() - before), "pages/s")
    stacks = region.client("cloudformation")
    before = time.monotonic()
    stacks.delete_stack(StackName="lamp")
    stacks.get_waiter("stack_delete_complete").wait(
        StackName="lamp", WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    show("delete-stack of lamp", time.monotonic() - before, "s")


def workloads(region: Region) -> dict[str, int]:
    """The first process of each instance, as the host sees it."""
    found = {}
    for line in sweep.processes(Path(region.folder)):
        pid = line.split()[0]
        group = sweep.read(Path(f"/proc/{pid}/cgroup"))
        instance = re.search(r"skyhold-[0-9a-f]+-(i-[0-9a-f]+)", group)
        if instance:
            found.setdefault(instance[1], int(pid))
    return found


def served(region: Region) -> dict[str, int]:
    """What each instance answered beside health checks, by its own log."""
    found = {}
    for instance, pid in workloads(region).items():
        log = Path(f"/proc/{pid}/root/var/log/apache2/access.log")
        lines = [line for line in sweep.read(log).splitlines() if "/health" not in line]
        found[instance] = len(lines)
    return found


def deployed(region: Region) -> tuple[str, dict]:
    """The LAMP stack's address, and what its stack tells."""
    address = re.search(r"http://([^/]+)/", region.command("demo", "lamp").strip().splitlines()[-1])
    stacks = region.client("cloudformation").describe_stacks(StackName="lamp")["Stacks"]
    return address[1], {o["OutputKey"]: o["OutputValue"] for o in stacks[0]["Outputs"]}


def members(region: Region, group: str) -> list[str]:
    scaling = region.client("autoscaling")
    found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    instances = found["AutoScalingGroups"][0]["Instances"]
    return [i["InstanceId"] for i in instances if i["LifecycleState"] == "InService"]


def state(region: Region, targets: str, instance: str) -> str | None:
    asked = region.client("elbv2").describe_target_health(TargetGroupArn=targets)
    states = {d["Target"]["Id"]: d["TargetHealth"]["State"]
              for d in asked["TargetHealthDescriptions"]}
    return states.get(instance)


def load(region: Region) -> None:
    """10,000 mixed requests in two ways, then an instance that dies at 200 requests a second."""
    address, outputs = deployed(region)
    tiers = {tier: members(region, outputs[f"{tier}Instances"]) for tier in ("Web", "App")}
    urls = [f"http://{address}/{path}" for path in ("static/site.css", "static/mark.svg", "",
                                                    "static/site.css", "api/status")]
    ways = {"keep-alive, 20 connections": ["--h1", "-c", "20"],
            "one HTTP/2 connection, 100 streams": ["-c", "1", "-m", "100"]}
    for way, words in ways.items():
        before = served(region)
        command = ["h2load", "-n", "10000", *words, *urls]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", told)
        errored = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", told)
        bad = 10000 - int(codes[1]) + sum(map(int, errored.groups()))
        show(f"load, {way}: requests that failed", bad, "of 10000")
        show(f"load, {way}", float(re.search(r"([0-9.]+) req/s", told)[1]), "requests/s")
        after = served(region)
        for tier, instances in tiers.items():
            counts = [after[i] - before[i] for i in instances]
            show(f"load, {way}: share of a {tier} target", 100 * counts[0] / sum(counts), "%")
    heal(region, address, outputs, tiers["Web"][0])
    headless(region, address)
    region.client("cloudformation").delete_stack(StackName="lamp")
    until(lambda: not gone_stacks(region), 120)


def gone_stacks(region: Region) -> list:
    stacks = region.client("cloudformation").describe_stacks()["Stacks"]
    return [stack for stack in stacks if stack["StackName"] == "lamp"]


def heal(region: Region, address: str, outputs: dict, victim: str) -> None:
    group, targets = outputs["WebInstances"], outputs["WebTargets"]
    paths = ("/static/site.css", "/", "/static/mark.svg", "/api/status")
    with Load([address], per_second=200, clients=40, paths=paths) as load:
        load.more(1000)
        region.command("drill", "kill", victim)
        killed = time.monotonic()
        until(lambda: state(region, targets, victim) not in ("healthy", "initial"), 60)
        show("kill an instance at 200 requests/s: out of rotation", time.monotonic() - killed, "s")
        until(lambda: victim not in (now := members(region, group)) and len(now) == 2
              and all(state(region, targets, i) == "healthy" for i in now), 120)
        show("kill an instance: replaced and healthy", time.monotonic() - killed, "s")
        load.more(2000)
    failed = 100 * len(load.failures) / load.answered
    show(f"kill an instance: failed of {load.answered} requests", failed, "%")


def headless(region: Region, address: str) -> None:
    """The control plane is killed, and is back after 1,000 requests."""
    paths = ("/static/site.css", "/", "/static/mark.svg", "/api/status")
    with Load([address], per_second=200, clients=40, paths=paths) as load:
        load.more(200)
        os.kill(region.status()["pid"], signal.SIGKILL)
        load.more(1000)
        before = time.monotonic()
        region.command("up", "--detach", "--listen", ENDPOINT)
        show("up, with the LAMP stack to adopt, until ready", time.monotonic() - before, "s")
        load.more(1000)
    failed = 100 * len(load.failures) / load.answered
    show(f"kill the control plane: failed of {load.answered} requests", failed, "%")


BENCHES = {"start": start, "instances": instances, "lamp": lamp, "load": load}


def main() -> None:
    wanted = sys.argv[1:] or list(BENCHES)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {SKYHOLD}")
    with tempfile.TemporaryDirectory() as folder:
        region = Region(folder)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        start(region)
        try:
            for name in wanted:
                if name != "start":
                    BENCHES[name](region)
        finally:
            region.command("down")


if __name__ == "__main__":
    main()
