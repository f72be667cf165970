"""Two tiers under load: every request is answered, shares are equal, a dead instance goes unnoticed."""

import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import sweep
from conftest import until
from load import Load

TEMPLATE = (Path(__file__).parent / "tiers.yaml").read_text()
# The health checks of the template: interval, timeout, checks that fail.
INTERVAL, TIMEOUT, THRESHOLD = 5, 2, 2
REQUESTS = 10_000
STREAMS = 100


class Tiers:
    """The stack, and what a test asks of it."""

    def __init__(self, region):
        self.region = region
        self.before = sweep.of_stacks(region.folder)
        self.stack = region.stack("tiers")
        self.stack.create(TEMPLATE)
        self.stack.created()
        self.outputs = self.stack.outputs()
        until("all targets to be healthy", lambda: self.healthy("Web") == self.healthy("App") == 2)
        interfaces = region.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
        self.addresses = [
            i["Association"]["PublicIp"]
            for i in interfaces
            if i.get("Description", "").startswith("ELB ") and "Association" in i
        ]

    def states(self, tier: str) -> dict[str, str]:
        asked = {"TargetGroupArn": self.outputs[f"{tier}Targets"]}
        told = self.region.client("elbv2").describe_target_health(**asked)
        found = told["TargetHealthDescriptions"]
        return {d["Target"]["Id"]: d["TargetHealth"]["State"] for d in found}

    def healthy(self, tier: str) -> int:
        return list(self.states(tier).values()).count("healthy")

    def requests(self, tier: str) -> Counter:
        """What each instance of a tier has served beside health checks, by its own log."""
        found = Counter()
        for instance in self.states(tier):
            log = Path(f"/proc/{self.process(instance)}/root/var/log/apache2/access.log")
            lines = log.read_text().splitlines()
            found[instance] = sum("ELB-HealthChecker" not in line for line in lines)
        return found

    def process(self, instance: str) -> int:
        """A process of an instance, as the host sees it."""
        for line in sweep.processes(self.region.folder):
            pid, *_ = line.split()
            if f"-{instance}/" in sweep.read(Path(f"/proc/{pid}/cgroup")):
                return int(pid)
        raise AssertionError(f"{instance} has no process")


@pytest.fixture(scope="module")
def tiers(module_region):
    made = Tiers(module_region)
    yield made
    made.stack.delete()
    until("nothing to be left", lambda: not sweep.of_stacks(module_region.folder) - made.before, 10)


def h2load(addresses: list[str], requests: int, *how: str) -> None:
    """All of the requests succeed, of small and large files and of pages of the second tier."""
    for number, address in enumerate(addresses):
        share = requests // len(addresses) + (number < requests % len(addresses))
        urls = [f"http://{address}/{path}" for path in ("who", "app/who", "large", "app/who")]
        done = subprocess.run(
            ["h2load", "-n", str(share), *how, *urls],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout
        told = re.search(r"requests: (.*)", done)[1]
        assert f"{share} succeeded, 0 failed, 0 errored, 0 timeout" in told, done
        assert f"status codes: {share} 2xx" in done, done
        print(*how, told, re.search(r"finished in .*", done)[0])


def shares(before: Counter, after: Counter) -> list[float]:
    """What each target got of the requests between two looks, in percent."""
    served = after - before
    return [100 * served[instance] / served.total() for instance in after]


@pytest.mark.parametrize(
    "how",
    [("--h1", "-c", "20"), ("-c", "1", "-m", str(STREAMS))],
    ids=["keep-alive", "one-connection-of-100-streams"],
)
def test_every_request_is_answered_and_shares_are_equal(tiers, how):
    web, app = tiers.requests("Web"), tiers.requests("App")
    h2load(tiers.addresses, REQUESTS // 2, *how)
    # Every second page is the second tier's; clients of few requests may end between two of them.
    for tier, before, least in [("Web", web, REQUESTS // 2), ("App", app, REQUESTS // 5)]:
        served = tiers.requests(tier)
        assert (served - before).total() >= least
        assert all(47 <= share <= 53 for share in shares(before, served)), (tier, before, served)


def test_an_instance_that_dies_under_load_is_replaced_and_hardly_missed(tiers):
    scaling = tiers.region.client("autoscaling")
    name = tiers.outputs["WebInstances"]

    def members() -> list[str]:
        asked = {"AutoScalingGroupNames": [name]}
        group = scaling.describe_auto_scaling_groups(**asked)["AutoScalingGroups"][0]
        return [i["InstanceId"] for i in group["Instances"] if i["LifecycleState"] == "InService"]

    victim = members()[0]
    paths = ("/who", "/app/who", "/large")
    with Load(tiers.addresses, per_second=200, clients=20, paths=paths) as load:
        load.more(400)
        killed = time.monotonic()
        tiers.region.command("drill", "kill", victim)
        bound = INTERVAL * THRESHOLD + TIMEOUT
        in_rotation = ("healthy", "initial")
        until(
            "the instance to be out of rotation",
            lambda: tiers.states("Web").get(victim) not in in_rotation, bound,
        )
        out = time.monotonic() - killed
        until(
            "a replacement in service",
            lambda: victim not in members() and len(members()) == 2 and tiers.healthy("Web") == 2,
        )
        replaced = time.monotonic() - killed
        load.more(2000)
    print(f"out of rotation after {out:.1f} s, replaced after {replaced:.1f} s, "
          f"{len(load.failures)} of {load.answered} requests failed")
    assert len(load.failures) < load.answered / 1000, (load.answered, load.failures[:10])
