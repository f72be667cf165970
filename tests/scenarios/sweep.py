"""Everything that a region has on its host, found without asking the region.

A process, a namespace, a link, a table of filters, a mount, a control group, a loop device, a claim
on a range of user ids, a volume: each is a line `kind name`. A test takes the lines before and after,
and the difference is what was left behind. As a program, prints the lines of a data folder.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

# Of the zone, not of what runs in it: a resolver and metadata service that every VPC shares.
OF_THE_ZONE = ("vpc-services",)
# The commands of the control plane and of a zone's supervisor.
REGION_COMMANDS = {"up", "zone"}
# What a region keeps whatever runs in it: its state, its keys, what users stored, and templates that
# are made once and copied for every volume of that size.
KEPT = ("store", "keys", "objects", "run/demo", "volumes/.templates")
OF_THE_REGION = (
    "credentials.json",
    "clock.json",
    "skyhold.log",
    "lock",
    "control.sock",
    "net-applied.json",
    "supervisor.log",
    "supervisor.sock",
)


def out(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def tags(folder: Path) -> set[str]:
    """How the control groups of the region's zones begin (`drivers/machine/src/zone/run.rs`)."""
    zones = (folder / "run").glob("zone-*")
    return {hashlib.md5(os.fsencode(zone)).hexdigest()[:8] for zone in zones}


def group_names(folder: Path) -> set[str]:
    own = tuple(f"skyhold-{tag}-" for tag in tags(folder))
    found = set()
    for path, folders, _ in os.walk("/sys/fs/cgroup", onerror=lambda _: None):
        mine = [name for name in folders if name.startswith(own)] if own else []
        found.update(os.path.join(path, name) for name in mine)
        folders[:] = [name for name in folders if name not in mine]
    return found


def processes(folder: Path) -> set[str]:
    """The region's processes: by their words, by their control group, by their network."""
    own_groups = tuple(f"/skyhold-{tag}-" for tag in tags(folder))
    networks = {path.stat().st_ino for path in (folder / "run" / "netns").glob("*")}
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        words = read(process / "cmdline").split("\0")
        try:
            network = os.stat(process / "ns" / "net").st_ino
        except OSError:
            continue
        ours = str(folder) in words or f"{folder}/run" in words
        ours = ours or any(group in read(process / "cgroup") for group in own_groups)
        if ours or network in networks:
            state = re.search(r"^State:\s+(\S)", read(process / "status"), re.MULTILINE)
            if state and state[1] != "Z":
                found.add(f"{process.name} {' '.join(words).strip()}")
    return found


def mounts(folder: Path) -> set[str]:
    points = [line.split()[4] for line in read(Path("/proc/self/mountinfo")).splitlines()]
    return {point for point in points if point.startswith(f"{folder}/")}


def loops(folder: Path) -> set[str]:
    found = set()
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        name = read(backing).strip()
        if name.startswith(f"{folder}/"):
            found.add(f"{backing.parts[3]} {name}")
    return found


def claims(folder: Path) -> set[str]:
    own = tuple(f"skyhold-{tag}-" for tag in tags(folder))
    found = set()
    for path in Path("/run/skyhold/id-ranges").glob("*"):
        try:
            holder = os.readlink(path)
        except OSError:
            # A claim of another region, given up meanwhile.
            continue
        if holder.startswith(own):
            found.add(f"{path.name} {holder}")
    return found


def files(folder: Path) -> set[str]:
    """Files that belong to something that runs, and empty folders that bear an id."""
    found = set()
    for path, folders, names in os.walk(folder):
        here = Path(path)
        folders[:] = [name for name in folders if str((here / name).relative_to(folder)) not in KEPT]
        place = here.relative_to(folder)
        found.update(str(place / name) for name in names if name not in OF_THE_REGION)
        if not folders and not names and "-" in place.name:
            found.add(str(place))
    return found


def traces(folder: Path) -> set[str]:
    """All of it, a line each."""
    links = [line.split(": ")[1].split("@")[0] for line in out("ip", "-o", "link").splitlines()]
    kinds = {
        "process": processes(folder),
        "link": set(links) - {"lo"},
        "table": set(out("nft", "list", "tables").splitlines()),
        "mount": mounts(folder),
        "group": group_names(folder),
        "loop": loops(folder),
        "claim": claims(folder),
        "file": files(folder),
    }
    return {f"{kind} {name}" for kind, names in kinds.items() for name in names}


def of_stacks(folder: Path) -> set[str]:
    """All of it, less what a region has without any stack: its control plane, its zones, and the
    internet, which is one namespace, one link to the host and one table of filters there."""
    found = set()
    for line in traces(folder):
        words = line.split()
        of_the_region = {
            "process": bool(REGION_COMMANDS.intersection(words[3:])),
            "link": line.endswith("igw"),
            "table": bool(re.fullmatch("table table ip sk[0-9a-f]{4}", line)),
        }
        own = of_the_region.get(words[0], line.endswith("-internet"))
        if not own and not line.endswith(OF_THE_ZONE):
            found.add(line)
    return found


def running(folder: Path) -> set[str]:
    """What must be gone once the region is down: everything but what was written to be kept."""
    kept = {f"file {path}" for path in files(folder) if not re.match("run/(netns|.*/mounts)/", path)}
    return {line for line in traces(folder) if line not in kept}


if __name__ == "__main__":
    print("\n".join(sorted(traces(Path(sys.argv[1]).resolve()))))
