"""HTTPS on a load balancer, with curl and Python's TLS as clients."""

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import binary

SITE = pathlib.Path(__file__).with_name("https_site.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="the fabric is made of namespaces, which needs root")
def test_a_site_is_served_over_https(tmp_path_factory):
    # The folder's name is part of sockets' names, which are short.
    folder = tmp_path_factory.mktemp("s")
    inside = 'ip link set lo up && exec "$@"'
    command = ["unshare", "--net", "--mount", "sh", "-c", inside, "sh"]
    command += [sys.executable, str(SITE), binary(), str(folder / "r")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "no private key lies open" in done.stdout
