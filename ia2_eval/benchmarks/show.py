"""`ia2-eval data`: the benchmarks and the faults of their data on a console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ia2_eval.benchmarks.check import Facts, data_faults, describe
from ia2_eval.benchmarks.load import DATA_DIR_VARIABLE, data_directory
from ia2_eval.benchmarks.registry import BENCHMARKS, get_benchmark
from ia2_eval.errors import UserError


def print_benchmarks(names: Sequence[str] | None, data_dir: Path | None, console: Console) -> int:
    """Print what there is to say about each benchmark; gives 1 when the data of one of them cannot be loaded, else 0.

    Raises:
        UserError: there is no benchmark of that name.
    """
    benchmarks = [get_benchmark(name) for name in names or BENCHMARKS]
    unloaded = 0
    for benchmark in benchmarks:
        title = escape(f"({benchmark.title}): {benchmark.source}")
        console.print(f"[bold]{benchmark.name}[/bold] {title}", highlight=False, soft_wrap=True)
        try:
            _print_facts(describe(benchmark.name, data_dir), benchmark.out_of_distribution, console)
        except UserError as error:
            console.print(f"  [red]cannot be loaded:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
            unloaded += 1
        console.print()
    return 1 if unloaded else 0


def _print_facts(facts: Facts, partners: Sequence[str], console: Console) -> None:
    lines = [f"pool {facts.pool}, evaluation set {facts.evaluation}, fingerprint {facts.fingerprint[:16]}"]
    if facts.label_balance:
        lines.append("labels: " + ", ".join(f"{label} x {count}" for label, count in facts.label_balance.items()))
    if partners:
        lines.append(f"out of distribution: {', '.join(partners)}")
    lines += [f"prompt: {facts.example.prompt!r}", f"answer: {facts.example.answer!r}"]
    lines += [f"note: {note}" for note in facts.notes]
    for line in lines:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def print_faults(names: Sequence[str] | None, data_dir: Path | None, console: Console) -> int:
    """Print every fault of a local data directory; gives 1 when there is one, else 0.

    Raises:
        UserError: no directory is given, or there is no benchmark of that name.
    """
    directory = data_directory(data_dir)
    if directory is None:
        raise UserError(f"there is no local data to check: give --data-dir or set {DATA_DIR_VARIABLE}")
    faults = data_faults(directory, names)
    for fault in faults:
        console.print(escape(fault), style="red", highlight=False, soft_wrap=True)
    if not faults:
        console.print(f"{directory}: no faults", highlight=False)
    return 1 if faults else 0
