"""A web tier out of one template: balanced, healing, and gone without a trace."""

import subprocess
import urllib.request
from pathlib import Path

from conftest import until

TEMPLATE = (Path(__file__).parent / "web.yaml").read_text()


def page(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        return answer.read().decode().strip()


def balancer_addresses(region) -> list[str]:
    interfaces = region.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    return [
        i["Association"]["PublicIp"]
        for i in interfaces
        if i.get("Description", "").startswith("ELB ") and "Association" in i
    ]


def healthy(region) -> int:
    elb = region.client("elbv2")
    group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    described = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return sum(d["TargetHealth"]["State"] == "healthy" for d in described)


def test_a_web_stack_is_balanced_heals_and_leaves_nothing(region):
    stacks = region.client("cloudformation")
    before = set(region.workloads())
    stacks.create_stack(StackName="web", TemplateBody=TEMPLATE)
    stacks.get_waiter("stack_create_complete").wait(
        StackName="web", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    until("two healthy targets", lambda: healthy(region) == 2, 60)
    first, second = balancer_addresses(region)

    # Each node shares requests out equally, per request.
    for address in (first, second):
        answers = [page(address) for _ in range(20)]
        counts = sorted(answers.count(name) for name in set(answers))
        assert counts == [10, 10], answers

    # An instance that dies is replaced without a command.
    scaling = region.client("autoscaling")
    members = scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
    victim = members[0]["InstanceId"]
    region.command("drill", "kill", victim)

    def replaced():
        now = scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
        serving = [i for i in now if i["LifecycleState"] == "InService"]
        return victim not in [i["InstanceId"] for i in now] and len(serving) == 2

    until("a replacement", replaced, 60)
    until("two healthy targets again", lambda: healthy(region) == 2, 60)
    activities = scaling.describe_scaling_activities()["Activities"]
    assert any("taken out of service" in activity["Cause"] for activity in activities)

    # The control plane's death goes unseen by users, and it finds everything as it was.
    group = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    pid = region.status()["pid"]
    subprocess.run(["kill", "-9", str(pid)], check=True)
    for _ in range(50):
        assert page(first)
    region.up()
    assert scaling.describe_auto_scaling_groups()["AutoScalingGroups"] == group
    for _ in range(50):
        assert page(first)

    stacks.delete_stack(StackName="web")
    stacks.get_waiter("stack_delete_complete").wait(
        StackName="web", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    left = set(region.workloads()) - before
    assert not [name for name in left if not name.startswith("vpc-services")], left
    vpcs = region.client("ec2").describe_vpcs()["Vpcs"]
    assert [vpc["IsDefault"] for vpc in vpcs] == [True]
