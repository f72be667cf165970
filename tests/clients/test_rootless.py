"""A region of an ordinary user: what runs nothing works, the rest is refused with the reason."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import botocore.exceptions
import pytest
from conftest import Region, binary

NOBODY = 65534


class OrdinaryRegion(Region):
    """A region whose process is not root's."""

    def __init__(self, folder):
        program = Path(folder) / "skyhold"
        shutil.copy(binary(), program)
        self.prefix = [str(program)]
        if os.geteuid() == 0:
            ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            self.prefix = ["setpriv", *ids, "env", f"HOME={folder}", str(program)]
            for path in (folder, program):
                os.chown(path, NOBODY, NOBODY)
        self.data_dir = Path(folder) / "data"
        self.up = self.command("up", "--detach", "--listen", "127.0.0.1:0")
        self.variables = {}
        for line in self.command("env").stdout.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.variables[name] = value.strip("'")

    def command(self, *words, check=True):
        command = [*self.prefix, "--data-dir", str(self.data_dir), *words]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60)

    def down(self):
        self.command("down")
        left = subprocess.run(["pgrep", "-f", str(self.data_dir)], capture_output=True, text=True)
        assert left.stdout == "", left.stdout


@pytest.fixture(scope="module")
def ordinary():
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        running = OrdinaryRegion(folder)
        yield running
        running.down()


def test_it_says_what_is_missing(ordinary):
    assert "not root" in ordinary.up.stderr
    told = ordinary.command("doctor", check=False)
    assert told.returncode == 1
    assert "missing  root" in told.stdout and "sudo skyhold up" in told.stdout
    assert "this kernel lacks it" not in told.stdout
    assert "without root" in ordinary.command("status").stdout


def test_what_runs_nothing_works(ordinary, name):
    s3 = ordinary.client("s3")
    where = {"LocationConstraint": ordinary.variables["AWS_DEFAULT_REGION"]}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    s3.put_object(Bucket=name, Key="a", Body=b"kept")
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"kept"


def test_what_needs_root_is_refused_with_the_reason(ordinary):
    with pytest.raises(botocore.exceptions.ClientError, match="need root") as refused:
        ordinary.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    with pytest.raises(botocore.exceptions.ClientError, match="need root"):
        ordinary.client("rds").describe_db_instances()
