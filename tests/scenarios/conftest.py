"""A region with real drivers, in the network namespace that the test run was given."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

SKYHOLD = os.environ.get("SKYHOLD_BIN", "skyhold")
LAMP_IMAGE = "/aws/service/skyhold/lamp/latest/amd64"


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

    def kill(self) -> None:
        """Ends the control plane as a crash does, and waits until it is gone."""
        pid = self.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        until("the control plane to be gone", lambda: not runs(pid), 10)

    def status(self) -> dict:
        return json.loads(self.command("status", "--json"))

    def workloads(self) -> list[str]:
        return [w["id"] for zone in self.status()["zones"] for w in zone["workloads"]]

    def client(self, service: str, **other):
        settings = {
            "endpoint_url": self.keys["endpoint_url"],
            "region_name": self.keys["region"],
            "aws_access_key_id": self.keys["access_key_id"],
            "aws_secret_access_key": self.keys["secret_access_key"],
        }
        return boto3.client(service, **{**settings, **other})

    def stack(self, name: str) -> "Stack":
        return Stack(self, name)

    def log(self) -> str:
        return (self.folder / "skyhold.log").read_text()


class Stack:
    """A stack of CloudFormation, by its name until its id is known."""

    def __init__(self, region: Region, name: str):
        # A control plane that is restarted answers the next try.
        patient = Config(retries={"max_attempts": 8, "mode": "standard"})
        self.stacks = region.client("cloudformation", config=patient)
        self.name = self.id = name

    def create(self, template: str, *capabilities: str, **parameters: str) -> None:
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        made = self.stacks.create_stack(
            StackName=self.name, TemplateBody=template, Parameters=given,
            Capabilities=list(capabilities),
        )
        self.id = made["StackId"]

    def status(self) -> str:
        return self.stacks.describe_stacks(StackName=self.id)["Stacks"][0]["StackStatus"]

    def settled(self, seconds: float = 120) -> str:
        """How the operation that is under way ends."""
        def settled():
            now = self.status()
            return None if now.endswith("_IN_PROGRESS") else now

        return until(f"stack {self.name} to settle", settled, seconds)

    def created(self) -> None:
        assert self.settled() == "CREATE_COMPLETE", self.failures()

    def failures(self) -> list[str]:
        pages = self.stacks.get_paginator("describe_stack_events").paginate(StackName=self.id)
        events = [event for page in pages for event in page["StackEvents"]]
        failed = [e for e in events if e["ResourceStatus"].endswith("_FAILED")]
        return [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in failed]

    def outputs(self) -> dict[str, str]:
        described = self.stacks.describe_stacks(StackName=self.id)["Stacks"][0]
        return {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])}

    def delete(self) -> None:
        # A deleted stack is known by its id alone.
        self.id = self.stacks.describe_stacks(StackName=self.id)["Stacks"][0]["StackId"]
        self.stacks.delete_stack(StackName=self.id)
        assert self.settled() == "DELETE_COMPLETE", self.failures()


def runs(pid: int) -> bool:
    """Whether a process is there, or a thread of it that has not yet let go of its files."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def until(what: str, condition, seconds: float = 60):
    """Waits for a condition, never for time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)


def start(folder: Path) -> Region:
    """A region in a network that holds nothing else."""
    assert os.geteuid() == 0, "scenarios build networks: run them as root"
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = {line.split(":")[1].strip() for line in links.splitlines()}
    assert names == {"lo"}, "run scenarios in a namespace: unshare --net --mount pytest"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return Region(folder)


@pytest.fixture
def region(tmp_path_factory):
    made = start(tmp_path_factory.mktemp("region"))
    yield made
    made.down()


@pytest.fixture(scope="module")
def module_region(tmp_path_factory):
    """One region for the tests of a module, which leave it as they found it."""
    made = start(tmp_path_factory.mktemp("region"))
    yield made
    made.down()
