"""The LAMP blueprint: from one template to a page out of two zones, and what it survives."""

import json
import urllib.request

from conftest import until


def status(url: str) -> dict:
    with urllib.request.urlopen(f"{url}api/status", timeout=10) as answer:
        return json.loads(answer.read())


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return page.status == 200
    except OSError:
        return False


def test_the_blueprint_serves_from_both_zones_and_survives_its_primary(region):
    url = region.command("demo", "lamp").strip().splitlines()[-1]
    zones = set()
    for _ in range(8):
        with urllib.request.urlopen(url, timeout=5) as page:
            assert page.status == 200
            zones.add(page.headers["X-Web-Zone"])
    assert len(zones) == 2, zones
    assert status(url), "every part of the stack is there"

    # The database's primary dies: its endpoint follows the standby, the page answers again.
    databases = region.client("rds")
    described = databases.describe_db_instances()["DBInstances"]
    source = next(d for d in described if d["MultiAZ"])
    before = source["AvailabilityZone"]
    workloads = [
        w["id"]
        for zone in region.status()["zones"]
        if zone["zone"] == before
        for w in zone["workloads"]
        if w["id"].startswith(f"rds-{source['DbiResourceId'].lower()}")
    ]
    assert len(workloads) == 1, workloads
    region.command("drill", "kill", workloads[0])

    def moved():
        now = databases.describe_db_instances(DBInstanceIdentifier=source["DBInstanceIdentifier"])
        return now["DBInstances"][0]["AvailabilityZone"] != before

    until("the standby to be primary", moved, 30)
    until("the page to answer", lambda: answers(url), 30)

    stacks = region.client("cloudformation")
    stacks.delete_stack(StackName="lamp")
    stacks.get_waiter("stack_delete_complete").wait(
        StackName="lamp", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    left = [name for name in region.workloads() if not name.startswith("vpc-services")]
    assert not left, left
    assert not databases.describe_db_instances()["DBInstances"]
