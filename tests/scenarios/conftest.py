"""A region with real drivers, in the network namespace that the test run was given."""

import json
import os
import subprocess
import time
from pathlib import Path

import boto3
import pytest

SKYHOLD = os.environ.get("SKYHOLD_BIN", "skyhold")


class Region:
    """A running region and what a test asks of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.up()

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [SKYHOLD, "--data-dir", str(self.folder), *words],
            capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 0, f"skyhold {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def up(self) -> None:
        self.command("up", "--detach", "--listen", "127.0.0.1:4566")
        self.keys = json.loads((self.folder / "credentials.json").read_text())

    def down(self) -> None:
        self.command("down")

    def status(self) -> dict:
        return json.loads(self.command("status", "--json"))

    def workloads(self) -> list[str]:
        return [w["id"] for zone in self.status()["zones"] for w in zone["workloads"]]

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.keys["endpoint_url"],
            region_name=self.keys["region"],
            aws_access_key_id=self.keys["access_key_id"],
            aws_secret_access_key=self.keys["secret_access_key"],
        )

    def log(self) -> str:
        return (self.folder / "skyhold.log").read_text()


def until(what: str, condition, seconds: float = 60):
    """Waits for a condition, never for time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)


@pytest.fixture
def region(tmp_path_factory):
    assert os.geteuid() == 0, "scenarios build networks: run them as root"
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = {line.split(":")[1].strip() for line in links.splitlines()}
    assert names == {"lo"}, "run scenarios in a namespace: unshare --net --mount pytest"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    made = Region(tmp_path_factory.mktemp("region"))
    yield made
    made.down()
