"""Databases and caches lose their primaries under writes. `benches/failover.py` does it for long."""

import pytest
from failover import LIMITS, Cache, Database, Network, lose_primary


@pytest.fixture(scope="module")
def network(module_region):
    return Network(module_region)


@pytest.mark.parametrize(
    "kind, engine, version, faults",
    [
        (Database, "mariadb", "10.11", ["kill", "hang"]),
        (Database, "postgres", "15", ["kill", "link"]),
        (Cache, "valkey", "8.1", ["kill"]),
    ],
)
def test_writes_go_on_after_the_primary_is_lost(network, kind, engine, version, faults):
    service = kind(network, engine, version)
    try:
        if kind is Database:
            only_the_primary_answers(network, service)
        for fault in faults:
            seen = lose_primary(service, fault)
            assert seen["lost"] == 0, seen
            assert seen["writable"] <= LIMITS[fault], seen
        if kind is Database:
            only_the_primary_answers(network, service)
    finally:
        service.delete()


def only_the_primary_answers(network, service):
    interfaces = service.interfaces()
    assert len(interfaces) == 2
    for eni in interfaces:
        # The customer sees the groups that were asked for; nodes reach each other without them.
        assert [group["GroupId"] for group in eni["Groups"]] == [network.data]
        answers = network.answers(eni["PrivateIpAddress"], service.port)
        assert answers == (eni["AvailabilityZone"] == service.primary()), eni
