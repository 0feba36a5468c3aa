"""The proof that a sweep survives `kill -9`: 200 cells, 2 workers, one process killed every 3 seconds.

    python bench/faults.py [--minutes 30] [--seed 0] [--keep DIRECTORY]

Driver and workers are killed at random, and the driver started again, until the sweep is done. Then there must be 200
valid records, equal to those of an undisturbed run, none written twice, and nothing left behind.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from fault_sweep import (
    KILL_SECONDS,
    Puts,
    command,
    disturb,
    environment,
    faults,
    report,
    undisturbed,
    write_recipe,
)

WORKERS = 2
ROLES = ("driver", *(f"worker {number + 1}" for number in range(WORKERS)))


def victims(driver: subprocess.Popen[bytes]) -> dict[str, int]:
    """The driver and its workers, by role."""
    try:
        workers = sorted(child.pid for child in psutil.Process(driver.pid).children() if child.is_running())
    except psutil.NoSuchProcess:
        return {}
    return {"driver": driver.pid, **{f"worker {number}": pid for number, pid in enumerate(workers, start=1)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="for the disturbed run")
    parser.add_argument("--every", type=float, default=KILL_SECONDS, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a directory that does not exist yet, for the runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = arguments.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        recipe, reference, out = write_recipe(directory), directory / "undisturbed", directory / "disturbed"
        seconds = undisturbed(recipe, reference)
        print(f"the undisturbed run took {seconds:.0f} s", flush=True)
        puts, log = Puts(out / "records"), directory / "said.txt"

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as said:
                return subprocess.Popen(
                    command(recipe, out, "--workers", str(WORKERS)), env=environment(), stdout=said, stderr=said
                )

        disturbed = disturb(start, victims, ROLES, puts, log, arguments.seed, arguments.minutes, arguments.every)
        time.sleep(1)  # workers of a driver that was given up end now
        raise SystemExit(report(disturbed, seconds, out, faults(out, reference, puts)))


if __name__ == "__main__":
    main()
