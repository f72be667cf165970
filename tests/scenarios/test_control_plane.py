"""The control plane dies: users do not see it, nothing is forgotten, nothing is left behind."""

import os
import random
import time
from pathlib import Path

import sweep
from conftest import until
from load import Load

TEMPLATE = (Path(__file__).parent / "web.yaml").read_text()
# Its last resource is refused, after everything else is there.
BROKEN = TEMPLATE.replace("Outputs:", """\
  Overlapping: {Type: AWS::EC2::Subnet, DependsOn: Asg, Properties: {VpcId: !Ref Vpc, \
CidrBlock: 10.0.0.0/25}}
Outputs:""")
ROUNDS = int(os.environ.get("SKYHOLD_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("SKYHOLD_KILL_SEED", "7"))
# A round's creation takes about this long; a kill comes at any moment of it.
CREATION_SECONDS = 4.0
# Of the answers, what tells when something was looked at rather than what it is.
VOLATILE = {"ResponseMetadata", "LastStatusCheckTime", "LatestRestorableTime"}

DESCRIBES = [
    ("ec2", "describe_vpcs", {}),
    ("ec2", "describe_subnets", {}),
    ("ec2", "describe_route_tables", {}),
    ("ec2", "describe_internet_gateways", {}),
    ("ec2", "describe_network_acls", {}),
    ("ec2", "describe_security_groups", {}),
    ("ec2", "describe_security_group_rules", {}),
    ("ec2", "describe_network_interfaces", {}),
    ("ec2", "describe_addresses", {}),
    ("ec2", "describe_instances", {}),
    ("ec2", "describe_instance_status", {}),
    ("ec2", "describe_volumes", {}),
    ("ec2", "describe_launch_templates", {}),
    ("ec2", "describe_tags", {}),
    ("elbv2", "describe_load_balancers", {}),
    ("elbv2", "describe_target_groups", {}),
    ("autoscaling", "describe_auto_scaling_groups", {}),
    ("autoscaling", "describe_scaling_activities", {}),
    ("autoscaling", "describe_tags", {}),
    ("cloudformation", "describe_stacks", {}),
    ("cloudformation", "describe_stack_resources", {"StackName": "web"}),
    ("rds", "describe_db_instances", {}),
    ("rds", "describe_db_subnet_groups", {}),
    ("elasticache", "describe_replication_groups", {}),
    ("elasticache", "describe_cache_clusters", {}),
    ("secretsmanager", "list_secrets", {}),
    ("iam", "list_roles", {}),
    ("ssm", "describe_parameters", {}),
    ("s3", "list_buckets", {}),
]


def told(value):
    """An answer without what changes with the time of the question, in an order of its own."""
    if isinstance(value, dict):
        return {k: told(v) for k, v in sorted(value.items()) if k not in VOLATILE}
    if isinstance(value, list):
        return sorted((told(item) for item in value), key=repr)
    return value


def described(region) -> dict:
    """Every answer, of every page."""
    answers = {}
    for service, operation, arguments in DESCRIBES:
        client = region.client(service)
        if client.can_paginate(operation):
            pages = list(client.get_paginator(operation).paginate(**arguments))
        else:
            pages = [getattr(client, operation)(**arguments)]
        answers[f"{service} {operation}"] = told(pages)
    groups = region.client("elbv2")
    for group in groups.describe_target_groups()["TargetGroups"]:
        arn = group["TargetGroupArn"]
        listed = groups.describe_listeners(LoadBalancerArn=group["LoadBalancerArns"][0])
        answers[f"listeners {arn}"] = told(listed)
        answers[f"health {arn}"] = told(groups.describe_target_health(TargetGroupArn=arn))
    return answers


def balancers(region) -> list[str]:
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


def left(region, before: set[str]) -> list[str]:
    return sorted(sweep.of_stacks(region.folder) - before)


def nothing_left(region, before: set[str]) -> None:
    """What is still on its way out a moment after the last event gets that moment."""
    deadline = time.monotonic() + 10
    while left(region, before) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left(region, before)


def test_its_death_is_not_seen_by_users_and_it_finds_everything_as_it_was(region):
    before = sweep.of_stacks(region.folder)
    stack = region.stack("web")
    stack.create(TEMPLATE)
    stack.created()
    until("two healthy targets", lambda: healthy(region) == 2)
    addresses = balancers(region)
    assert len(addresses) == 2
    # The first looks at a new group are over: nothing changes any more by itself.
    state = described(region)
    processes = sweep.processes(region.folder)

    with Load(addresses, per_second=50) as load:
        load.more(50)
        region.kill()
        load.more(150)
        region.up()
        load.more(150)
    assert not load.failures, (len(load.failures), load.answered, load.failures[:5])

    after = described(region)
    assert {name: after[name] for name in state if after[name] != state[name]} == {}
    # It adopted what runs: every process is the same, but its own.
    ended = processes - sweep.processes(region.folder)
    assert len([line for line in ended if " up --listen " not in line]) == 0, ended

    stack.delete()
    nothing_left(region, before)
    region.down()
    assert not sweep.running(region.folder)
    region.up()


def test_any_moment_of_a_creation_may_be_its_last(region):
    before = sweep.of_stacks(region.folder)
    moments = random.Random(SEED)
    for number in range(ROUNDS):
        # Each round falls into its own part of a creation, so that few rounds see all of it.
        moment = CREATION_SECONDS * (number + moments.random()) / ROUNDS
        ends = ("CREATE_COMPLETE", "ROLLBACK_COMPLETE")
        killed_creation(region, f"round-{number}", TEMPLATE, moment, ends)
        nothing_left(region, before)
    # The last one is refused at its end, and may be killed while it is taken back.
    moment = CREATION_SECONDS + 2 * moments.random()
    killed_creation(region, "refused", BROKEN, moment, ("ROLLBACK_COMPLETE",))
    nothing_left(region, before)
    vpcs = region.client("ec2").describe_vpcs()["Vpcs"]
    assert [vpc["IsDefault"] for vpc in vpcs] == [True]
    region.down()
    assert not sweep.running(region.folder)
    region.up()


def killed_creation(region, name: str, template: str, moment: float, ends: tuple) -> None:
    """A creation in which the control plane dies at `moment`, and the stack's deletion."""
    stack = region.stack(name)
    stack.create(template)
    kill_after(region, moment)
    region.up()
    ended = stack.settled(180)
    assert ended in ends, (moment, ended, stack.failures())
    stack.delete()


def kill_after(region, seconds: float) -> None:
    """The moment itself is what is tried, so this is waiting for time."""
    time.sleep(seconds)
    region.kill()
