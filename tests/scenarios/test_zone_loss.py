"""A zone is lost under the LAMP blueprint, and comes back."""

import time

from conftest import until
from lamp import Lamp


def test_a_lost_zone_costs_seconds_and_comes_back_whole(region):
    site = Lamp(region)
    databases, groups = region.client("rds"), region.client("autoscaling")
    primary = site.outputs["Database"]

    def database() -> dict:
        return databases.describe_db_instances(DBInstanceIdentifier=primary)["DBInstances"][0]

    def members() -> list[list[tuple[str, str, str]]]:
        described = groups.describe_auto_scaling_groups()["AutoScalingGroups"]
        return [
            sorted((i["AvailabilityZone"], i["LifecycleState"], i["HealthStatus"])
                   for i in group["Instances"])
            for group in described
        ]

    until("a row before", lambda: site.write("before"), 10)
    # The worst zone to lose: it has the database's primary.
    lost, kept = database()["AvailabilityZone"], database()["SecondaryAvailabilityZone"]
    with site.watch() as watch:
        began = time.monotonic()
        region.command("drill", "zone", lost)
        until("a page by the other zone", lambda: answered_by(site, kept), 10)
        until("a row to be written", lambda: site.write("while away"), 10)
        assert database()["AvailabilityZone"] == kept
        zones = region.client("ec2").describe_availability_zones()["AvailabilityZones"]
        assert {z["ZoneName"] for z in zones if z["State"] == "unavailable"} == {lost}
        # Both groups have their capacity again, all of it where there is power.
        here = [(kept, "InService", "Healthy")] * 2
        until("two instances a group in one zone", lambda: members() == [here, here], 30)
        calm = time.monotonic()
        until("some more visits", lambda: time.monotonic() - calm > 3, 10)
        away = time.monotonic()

        region.command("drill", "restore", lost)
        spread = sorted((zone, "InService", "Healthy") for zone in (lost, kept))
        until("one instance a group and zone", lambda: members() == [spread, spread], 60)
        until("all parts to be there", site.facts, 30)
        until("the replica to catch up", lambda: "while away" in site.rows("reader"), 30)
        seen = set()
        until("pages out of both zones", lambda: both(site, seen, lost, kept), 30)

    print(f"\nlost {lost}: longest outage {watch.outage():.2f} s")
    print(f"while it was away: {watch.told(began, away)}")
    print(f"of these once the groups had replaced theirs: {watch.told(calm, away)}")
    print(f"since it was back: {watch.told(away)}")
    assert watch.outage() < 10
    assert watch.median(calm, away) < 0.5, "pages wait for what is not there"

    # The standby has what was written while it was away: it takes over, and nothing is missing.
    until("the standby", lambda: database()["SecondaryAvailabilityZone"] == lost, 10)
    until("the failover", lambda: fails_over(databases, primary), 30)
    until("the standby to be primary", lambda: database()["AvailabilityZone"] == lost, 30)
    until("all rows", lambda: {"before", "while away"} <= set(site.rows("writer")), 30)


def answered_by(site: Lamp, zone: str) -> bool:
    try:
        page = site.ask()
    except OSError:
        return False
    return page.status == 200 and page.zones == (zone, zone)


def both(site: Lamp, seen: set, *zones: str) -> bool:
    try:
        page = site.ask()
    except OSError:
        return False
    if page.status == 200:
        seen.update(enumerate(page.zones))
    return seen == {(tier, zone) for tier in range(2) for zone in zones}


def fails_over(databases, name: str) -> bool:
    try:
        databases.reboot_db_instance(DBInstanceIdentifier=name, ForceFailover=True)
    except databases.exceptions.InvalidDBInstanceStateFault:
        return False
    return True
