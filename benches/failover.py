"""Loses primaries, round after round, and times what their clients see.

    unshare --net --mount python benches/failover.py [ROUNDS [ENGINE...]]

Runs as root, with `SKYHOLD_BIN` naming the binary; `cargo xtask bench failover` runs 20 rounds of
each engine and fault on a release build. Writers insert rows all the while, through the
endpoint's name. Prints a line a round and a summary a fault; ends with 1 if a limit was missed.
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/scenarios"))

from conftest import start  # noqa: E402
from failover import LIMITS, Cache, Database, Network, lose_primary  # noqa: E402

ENGINES = {
    "mariadb": (Database, "10.11", ("kill", "hang", "link")),
    "postgres": (Database, "15", ("kill", "hang", "link")),
    "valkey": (Cache, "8.1", ("kill", "hang", "link")),
}


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    engines = sys.argv[2:] or list(ENGINES)
    folder = Path(tempfile.mkdtemp(prefix="failover-"))
    region = start(folder)
    missed = 0
    try:
        network = Network(region)
        for engine in engines:
            kind, version, faults = ENGINES[engine]
            service = kind(network, engine, version)
            for fault in faults:
                seen = []
                for number in range(1, rounds + 1):
                    one = lose_primary(service, fault)
                    seen.append(one)
                    print(
                        f"{engine:<9} {fault:<5} {number:>3}: writable after {one['writable']:6.3f} s,"
                        f" whole after {one['whole']:6.2f} s,"
                        f" {one['acknowledged']} acknowledged, {one['lost']} lost", flush=True,
                    )
                times = [one["writable"] for one in seen]
                late = sum(time > LIMITS[fault] for time in times)
                lost = sum(one["lost"] for one in seen)
                missed += late + lost
                print(
                    f"{engine:<9} {fault:<5} {rounds} rounds: median {statistics.median(times):.3f} s,"
                    f" most {max(times):.3f} s, over {LIMITS[fault]:.0f} s: {late}, lost {lost}",
                    flush=True,
                )
            service.delete()
    except AssertionError:
        print(region.log()[-4000:], file=sys.stderr)
        raise
    finally:
        region.down()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
