"""How much faster two workers are than one, on two cores: the demo recipe, run in turn.

    python bench/two_workers.py [--repeats 3] [--recipe demo]

One worker is `--workers 1`, which is the driver itself; each worker has one thread. What is timed is the whole command,
with the start of Python and of the workers, and the time from the first record to the last one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEAST = 1.7
"""Times faster."""


def run(recipe: str, out: Path, workers: int) -> float:
    """Seconds of a whole run."""
    command = [sys.executable, "-m", "ia2_eval.cli", "run", recipe, "--out", str(out), "--device", "cpu"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--workers", str(workers)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return time.monotonic() - started


def between_records(out: Path) -> float:
    """Seconds between the first record and the last one: without start and end."""
    written = [path.stat().st_mtime for path in out.glob("records/*.json")]
    return max(written) - min(written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recipe", default="demo")
    arguments = parser.parse_args()
    whole: dict[int, list[float]] = {1: [], 2: []}
    inside: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(arguments.repeats):
        for workers in (1, 2):
            with tempfile.TemporaryDirectory() as scratch:
                before = os.getloadavg()[0]
                whole[workers].append(run(arguments.recipe, Path(scratch), workers))
                inside[workers].append(between_records(Path(scratch)))
                print(
                    f"{repeat + 1}. {workers} worker(s): {whole[workers][-1]:.1f} s, {inside[workers][-1]:.1f} s of "
                    f"them from the first record to the last; load of the machine before: {before:.1f}",
                    flush=True,
                )
    ratio = statistics.median(whole[1]) / statistics.median(whole[2])
    records = statistics.median(inside[1]) / statistics.median(inside[2])
    print(
        f"2 workers are {ratio:.2f} x as fast as one (at least {LEAST}), {records:.2f} x between the first record and "
        f"the last; medians of {arguments.repeats}, {os.cpu_count()} cores"
    )
    raise SystemExit(0 if ratio >= LEAST else 1)


if __name__ == "__main__":
    main()
