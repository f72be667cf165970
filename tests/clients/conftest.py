"""A region of the built binary for the tests of a worker.

`SKYHOLD_BIN` names the binary; without it the debug build of this tree is taken.
"""

import os
import pathlib
import re
import subprocess
import uuid

import boto3
import botocore.config
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return os.environ.get("SKYHOLD_BIN", str(target / "debug" / "skyhold"))


class Region:
    """A running region: clients of boto3, and the aws command line."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        listen = ["--listen", "127.0.0.1:0"]
        subprocess.run([binary(), "up", "--detach", *self.place(), *listen], check=True, timeout=60)
        text = subprocess.run(
            [binary(), "env", *self.place()], check=True, timeout=20, capture_output=True, text=True
        ).stdout
        self.variables = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", text, re.MULTILINE))

    def place(self):
        return ["--data-dir", str(self.data_dir)]

    def client(self, service, **options):
        config = options.pop("config", None) or botocore.config.Config()
        settings = {
            "endpoint_url": self.variables["AWS_ENDPOINT_URL"],
            "aws_access_key_id": self.variables["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.variables["AWS_SECRET_ACCESS_KEY"],
            "region_name": self.variables["AWS_DEFAULT_REGION"],
            **options,
        }
        config = config.merge(botocore.config.Config(retries={"max_attempts": 1}))
        return boto3.client(service, config=config, **settings)

    def aws(self, *arguments, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        environment.update(self.variables)
        environment["AWS_PAGER"] = ""
        environment["AWS_EC2_METADATA_DISABLED"] = "true"
        return subprocess.run(
            ["aws", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            **options,
        ).stdout

    def down(self):
        subprocess.run([binary(), "down", *self.place()], check=True, timeout=60)


@pytest.fixture(scope="session")
def region(tmp_path_factory):
    running = Region(tmp_path_factory.mktemp("region"))
    yield running
    running.down()


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:16]}"
