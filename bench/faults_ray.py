"""The proof that a sweep survives the loss of a node: 200 cells through Ray on 2 logical nodes, one removed half-way.

    python bench/faults_ray.py [--minutes 15] [--keep DIRECTORY]

Both nodes are on this machine and have one CPU each, so that each has a worker. Half of the records are there when the
second node is killed, with the processes that Ray runs on it; the sweep goes on with the first. Then there must be 200
valid records, equal to those of an undisturbed run, none written twice, and nothing left behind.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from fault_sweep import CELLS, Disturbed, Puts, command, environment, faults, report, undisturbed, write_recipe

from ia2_eval.experiments.ownership.processes import Processes
from ia2_eval.experiments.store import Store

NODES = 2
LOST, WAIT = "was lost", "wait for room"
"""What the driver says of workers."""


def remove_half_way(recipe: Path, out: Path, puts: Puts, log: Path, minutes: float) -> Disturbed:
    """Run the sweep on a cluster that loses a node when half of the records are there."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    started = time.monotonic()
    kills: Counter[str] = Counter()
    options = ("--engine", "ray", "--ray-address", cluster.address, "--workers", str(NODES))
    with log.open("wb") as said:
        driver = subprocess.Popen(command(recipe, out, *options), env=environment(), stdout=said, stderr=said)
    try:
        while driver.poll() is None and time.monotonic() - started < 60 * minutes:
            puts.look()
            if not kills and len(puts.counts) >= CELLS // 2:
                working = workers(out)
                cluster.remove_node(second, allow_graceful=False)
                kills["node"] += 1
                print(
                    f"{time.monotonic() - started:.0f} s: {working} workers, {len(puts.counts)} records; the second "
                    "node is removed",
                    flush=True,
                )
            time.sleep(0.02)
        puts.look()
        seconds = time.monotonic() - started
    finally:
        driver.kill()
        status = driver.wait()
        cluster.shutdown()
    return Disturbed(
        done=status == 0 and kills["node"] == 1,
        seconds=seconds,
        kills=kills,
        starts=1,
        statuses=Counter([status]),
        said="\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]),
    )


def workers(out: Path) -> int:
    """That are alive."""
    return sum(process.role == "worker" for process in Processes(Store(out).processes_path).living())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="for the disturbed run")
    parser.add_argument("--keep", type=Path, help="a directory that does not exist yet, for the runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = arguments.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        recipe, reference, out = write_recipe(directory), directory / "undisturbed", directory / "disturbed"
        seconds = undisturbed(recipe, reference)
        print(f"the undisturbed run took {seconds:.0f} s", flush=True)
        log = directory / "said.txt"
        puts = Puts(out / "records")
        disturbed = remove_half_way(recipe, out, puts, log, arguments.minutes)
        found = faults(out, reference, puts)
        lost = [line for line in log.read_text(encoding="utf-8").splitlines() if LOST in line or WAIT in line]
        print(*lost, sep="\n")
        if not any(LOST in line for line in lost):
            found.append("no worker was lost: the node that was removed had none")
        raise SystemExit(report(disturbed, seconds, out, found))


if __name__ == "__main__":
    main()
