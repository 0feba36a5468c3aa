"""A short table of the results of many adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


class Row(NamedTuple):
    """One task of one adapter."""

    task: str
    n: int
    metric: str
    """`acc`, or the first metric of a task that has none."""
    value: float | None
    ece: float | None


def rows(results: Mapping[str, Any]) -> Iterator[Row]:
    """One for each task and group, from results as lm-eval writes them."""
    for task, found in results["results"].items():
        metrics = {name: value for name, value in found.items() if isinstance(value, float) and "stderr" not in name}
        if not metrics:
            continue  # a group without metrics of its own
        name = "acc,none" if "acc,none" in metrics else next(iter(metrics))
        n = results["n-samples"].get(task, {}).get("effective", 0)
        yield Row(task, n, name.removesuffix(",none"), metrics[name], metrics.get("ece,none"))


def sentence(results: Mapping[str, Any]) -> str:
    """The same in one line."""
    parts = []
    for row in rows(results):
        ece = "" if row.ece is None else f", ECE {row.ece:.3f}"
        parts.append(f"{row.task} {row.metric} {row.value:.3f}{ece}" + (f" (n = {row.n})" if row.n else ""))
    return "; ".join(parts)


def print_table(by_adapter: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Adapters and tasks in rows; accuracy and ECE with the number of examples that they are computed from."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("adapter", "task"):
        table.add_column(column, overflow="fold")
    for column in ("n", "acc", "ECE"):
        table.add_column(column, justify="right")
    for name, results in by_adapter.items():
        for number, row in enumerate(rows(results)):
            value = f"{row.value:.4f}" if row.metric == "acc" else f"{row.metric} {row.value:.4f}"
            ece = "" if row.ece is None else f"{row.ece:.4f}"
            table.add_row("" if number else name, row.task, str(row.n or ""), value, ece)
        table.add_section()
    console.print(table)
