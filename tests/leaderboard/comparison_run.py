"""A run whose methods answer by chance, and what `compare_command` makes of it."""

from __future__ import annotations

import csv
import io

import numpy as np
from rich.console import Console
from synthetic_run import make_record, sample, write_plan, write_run

from ia2_eval.leaderboard.significance.command import compare_command

SKILL = {"no_icl": 0.45, "icl": 0.6, "sft": 0.62, "ia2_sft": 0.85}
CONFIDENCE = {"no_icl": 0.6, "icl": 0.65, "sft": 0.95, "ia2_sft": 0.85}


def answers(method, source, seed, n):
    """Right or not, by chance."""
    rng = np.random.default_rng([len(method), len(source), seed])
    return rng.random(n) < SKILL[method] + 0.03 * rng.standard_normal()


def write(directory, methods=("icl", "sft", "ia2_sft"), sources=("sst2", "agn"), sizes=(4,), seeds=3, n=60, **keywords):
    """A run whose samples are those of `answers`, on the sources and, of SST2, on PoemS."""
    records = []
    for method in methods:
        for source in sources:
            evals = (source, "poems") if source == "sst2" else (source,)
            for size in sizes if method != "no_icl" else sizes[:1]:
                for seed in range(seeds if method != "no_icl" else 1):
                    record = make_record(
                        method,
                        {name: {"acc": 0.5, "ece": 0.1} for name in evals},
                        source=source,
                        n=size,
                        seed=seed,
                        examples=n,
                        **keywords,
                    )
                    right = answers(method, source, seed, n)
                    write_run(directory, [record], [sample(CONFIDENCE[method], bool(hit)) for hit in right])
                    records.append(record)
    write_plan(directory, records)
    return records


def run(directory, methods=(), against=(), out=None, width=100):
    """Exit status, what was printed, and the lines of the CSV."""
    text = io.StringIO()
    directories = directory if isinstance(directory, list) else [directory]
    status = compare_command(directories, methods, against, out, Console(file=text, width=width))
    written = (out or directories[0] / "comparisons") / "comparisons.csv"
    return status, text.getvalue(), list(csv.DictReader(written.open()))


def only(lines, **wanted):
    (line,) = [line for line in lines if all(line[name] == value for name, value in wanted.items())]
    return line
