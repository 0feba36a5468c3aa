"""How far the estimate of `ia2-eval run RECIPE --dry-run` is from what the run takes, on this machine.

Estimates and runs take turns, so that whatever else the machine does meets both; a run that got much less processor
time than wall time was disturbed. It is the command as a user gives it, with one worker, imports included, into a
directory that is removed. It fails when an error is above 30 %.

    python bench/dry_run.py [--recipe demo] [--repeats 1]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from ia2_eval.experiments.cost.estimate import estimate
from ia2_eval.experiments.cost.show import print_estimate
from ia2_eval.experiments.session import Overrides, plan_recipe
from ia2_eval.experiments.settings import Settings

MOST_ERROR = 0.3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=Path("demo"))
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    settings = Settings(device="cpu")
    planned = plan_recipe(arguments.recipe, Path("unused"), Overrides(), settings, weights=False)
    worst = 0.0
    for _ in range(arguments.repeats):
        expected = estimate(planned.cells, (), planned.files, settings, workers=(1,))
        print_estimate(expected, Console())
        if expected.time is None:
            return 1
        measured, processor = run_seconds(arguments.recipe)
        error = expected.time.seconds[1] / measured - 1
        worst = max(worst, abs(error))
        took = f"measured {measured:.1f} s ({processor:.1f} s of a processor)"
        print(f"estimated {expected.time.seconds[1]:.1f} s, {took}: {error:+.0%}", flush=True)
    return int(worst > MOST_ERROR)


def run_seconds(recipe: Path) -> tuple[float, float]:
    """Of the whole command: wall time, and that of all processors."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "ia2_eval.cli", "run", str(recipe), "--out", out, "--device", "cpu"]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
