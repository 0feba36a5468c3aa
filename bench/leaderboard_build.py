"""Building a leaderboard from more than 500 records: `ia2-eval leaderboard build` as a user runs it, and its parts.

The command runs in a process of its own, start and imports included; the records are made up, in the size and the form
of real ones. The parts are measured one after another in this process. The baseline is the straightforward way: one
process draws one figure after another, and the samples are read once for the tables and again for the figures.

    python bench/leaderboard_build.py
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest.mock import patch

from synthetic_results import write_results

from ia2_eval.leaderboard.figures import write
from ia2_eval.leaderboard.figures.draw import draw_figures
from ia2_eval.leaderboard.results.aggregate import aggregate, to_csv, to_parquet
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.reported import reported_outcomes
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.tables.layout import tables

Seconds = dict[str, list[float]]


@contextmanager
def timed(seconds: Seconds, part: str) -> Iterator[None]:
    start = perf_counter()
    yield
    seconds.setdefault(part, []).append(perf_counter() - start)


def command(run: Path, out: Path, seconds: Seconds) -> None:
    """The whole, cold."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with timed(seconds, "ia2-eval leaderboard build"):
        subprocess.run(
            [sys.executable, "-m", "ia2_eval.cli", "leaderboard", "build", str(run), "--out", str(out)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds.setdefault("  of all processors", []).append(used)


def parts(run: Path, out: Path, seconds: Seconds) -> int:
    """Each part, then those of the baseline that differ; gives the number of figures."""
    with timed(seconds, "read records"):
        results = read_results([run])
    with timed(seconds, "group and aggregate"):
        groups, _ = group_records(results.records, results.plan)
        rows = aggregate(groups)

    def read_samples() -> None:
        for group in groups:
            for benchmark in group.evals:
                reported_outcomes(results, group, benchmark)

    with timed(seconds, "read samples"):
        read_samples()
    with timed(seconds, "tables with tests"):
        tables(groups, rows, results)
    with timed(seconds, "CSV and Parquet"):
        to_csv(rows)
        to_parquet(rows)
    with timed(seconds, "figures"):
        drawn = draw_figures(results, out / "together", groups, rows)
    with timed(seconds, "read samples again"):
        results._outcomes.clear()
        read_samples()
    with timed(seconds, "figures, one process"), patch.object(write, "_processes", lambda: 1):
        alone = draw_figures(results, out / "alone", groups, rows)
    for one, other in zip(drawn.paths, alone.paths, strict=True):
        assert one.read_bytes() == other.read_bytes(), f"{one} and {other} differ"
    return len(drawn.paths) // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as scratch:
        run, seconds = Path(scratch) / "run", Seconds()
        records = write_results(run)
        figures = 0
        for number in range(repeats):
            command(run, Path(scratch) / f"command{number}", seconds)
        for number in range(repeats):
            figures = parts(run, Path(scratch) / f"parts{number}", seconds)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{records} records, {figures} figures in PNG and SVG, {cores} cores; median of {repeats} (least to most)")
    for part, measured in seconds.items():
        print(f"{part:28} {median(measured):6.2f} s ({min(measured):.2f} to {max(measured):.2f})")
    middle = {part: median(measured) for part, measured in seconds.items()}
    saved = middle["read samples again"] + middle["figures, one process"] - middle["figures"]
    whole = middle["ia2-eval leaderboard build"]
    print(f"straightforward: {whole + saved:.1f} s; as it is: {whole:.1f} s, {(whole + saved) / whole:.1f} x faster")


if __name__ == "__main__":
    main()
