"""The machine loses its power under the LAMP blueprint; and what is left when the region goes."""

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

from conftest import until
from lamp import Lamp, resolve

GROUPS = Path("/sys/fs/cgroup")
ID_RANGES = Path("/run/skyhold/id-ranges")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Traces:
    """What of a region can be found on the host, by whoever looks from outside."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.zones = list((folder / "run").glob("zone-*"))

    @property
    def prefixes(self) -> list[str]:
        tag = lambda zone: hashlib.md5(str(zone).encode()).digest()[:4].hex()
        return [f"skyhold-{tag(zone)}-" for zone in self.zones]

    def processes(self) -> list[int]:
        """All processes of the region: supervisors by their words, workloads by their groups."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                groups = (entry / "cgroup").read_text()
            except OSError:
                continue
            own = "skyhold" in words[0] and any(str(self.folder) in word for word in words)
            if own or any(prefix in groups for prefix in self.prefixes):
                found.append(int(entry.name))
        return found

    def groups(self) -> list[Path]:
        parents = [GROUPS, *GROUPS.iterdir()] if GROUPS.is_dir() else []
        found = [
            group
            for parent in parents
            for prefix in self.prefixes
            for group in parent.glob(f"{prefix}*")
        ]
        # Some hierarchies have two names.
        return list({group.resolve() for group in found})

    def mounts(self) -> list[str]:
        points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        return [point for point in points if point.startswith(f"{self.folder}/")]

    def links(self) -> list[str]:
        names = [line.split(":")[1].strip() for line in run("ip", "-o", "link").splitlines()]
        return [name.split("@")[0] for name in names if name != "lo"]

    def tables(self) -> list[str]:
        return run("nft", "list", "tables").splitlines()

    def id_ranges(self) -> list[Path]:
        links = list(ID_RANGES.iterdir()) if ID_RANGES.is_dir() else []
        return [link for link in links if os.readlink(link).startswith(tuple(self.prefixes))]

    def disks(self) -> list[str]:
        return [line for line in run("losetup", "-a").splitlines() if str(self.folder) in line]

    def files(self) -> list[Path]:
        """Files that only a workload has use for; empty disks to copy are none."""
        places = ["volumes", "databases", "caches", "run/netns", "images"]
        places += [f"run/{zone.name}/{name}" for zone in self.zones for name in ("mounts", "consoles")]
        return [
            path
            for place in places
            for path in (self.folder / place).rglob("*")
            if not path.is_dir() and path.parent.name != ".templates"
        ]

    def all(self) -> dict[str, list]:
        names = ["processes", "groups", "mounts", "links", "tables", "id_ranges", "disks", "files"]
        found = {name: getattr(self, name)() for name in names}
        return {name: some for name, some in found.items() if some}


def cut_power(traces: Traces) -> None:
    """Takes from the region what a host that lost its power has lost when it is up again."""
    while pids := traces.processes():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    for mount in reversed(traces.mounts()):
        run("umount", "--lazy", mount)
    for link in traces.links():
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    run("nft", "flush", "ruleset")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    for link in traces.id_ranges():
        link.unlink()
    until("the groups to be empty", lambda: all([removed(group) for group in traces.groups()]), 10)
    left = {name: found for name, found in traces.all().items() if name != "files"}
    assert not left, left


def removed(group: Path) -> bool:
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False
    return True


def addresses(region, site: Lamp) -> dict:
    """Every address that a client may hold."""
    ec2 = region.client("ec2")
    machines = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    links = ec2.describe_network_interfaces()["NetworkInterfaces"]
    names = [site.outputs[key] for key in
             ("WebLoadBalancerName", "AppLoadBalancerName", "DatabaseReader", "CachePrimary")]
    return {
        "instances": {i["InstanceId"]: (i["State"]["Name"], i["PrivateIpAddress"])
                      for i in machines if i["State"]["Name"] != "terminated"},
        "interfaces": {i["NetworkInterfaceId"]: (i["PrivateIpAddress"], i["Status"],
                                                 i.get("Association", {}).get("PublicIp"))
                       for i in links},
        "names": {name: sorted(resolve(name)) for name in names},
    }


def test_after_a_power_cut_the_stack_comes_back_by_itself(region):
    site = Lamp(region)
    traces = Traces(region.folder)
    until("a row", lambda: site.write("before the cut"), 10)
    until("the replica to have it", lambda: "before the cut" in site.rows("reader"), 10)
    before, ran = addresses(region, site), sorted(region.workloads())

    cut_power(traces)
    began = time.monotonic()
    region.up()
    # Nobody asks the control plane for anything: visitors come, and are served.
    until("the page", site.answers, 60)
    page = time.monotonic() - began
    until("all parts", site.facts, 60)
    whole = time.monotonic() - began
    print(f"\nafter the power cut: a page after {page:.1f} s, all parts after {whole:.1f} s")
    until("the same addresses", lambda: addresses(region, site) == before, 30)
    assert sorted(region.workloads()) == ran
    assert "before the cut" in site.rows("writer")
    assert "before the cut" in site.rows("reader")
    until("a row after", lambda: site.write("after the cut"), 10)
    elb = region.client("elbv2")
    for key in ("WebTargets", "AppTargets"):
        until(f"healthy {key}", lambda: healthy(elb, site.outputs[key]) == 2, 30)

    # A zone that was killed and never restored leaves nothing behind either.
    region.command("drill", "zone", "ap-northeast-2b")
    stacks = region.client("cloudformation")
    stacks.delete_stack(StackName=site.stack)
    stacks.get_waiter("stack_delete_complete").wait(
        StackName=site.stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    region.down()
    assert not traces.all(), traces.all()


def healthy(elb, group: str) -> int:
    states = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return sum(state["TargetHealth"]["State"] == "healthy" for state in states)
