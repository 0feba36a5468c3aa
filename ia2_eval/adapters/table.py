"""A short table of the results of many adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ia2_eval.adapters.results import OURS


class Row(NamedTuple):
    """One task or group of one adapter."""

    task: str
    n: int | None
    metric: str
    """`acc`, or the first metric of a task that has none."""
    value: float
    ece: float | None
    ece_n: int | None
    """Examples that the ECE is computed from: with generated answers, those that have one."""


def rows(results: Mapping[str, Any]) -> Iterator[Row]:
    """One for each task and group, from results as lm-eval writes them."""
    for task, found in results["results"].items():
        metrics = {name: value for name, value in found.items() if isinstance(value, float) and "stderr" not in name}
        if not metrics:
            continue  # a group without metrics of its own
        name = "acc,none" if "acc,none" in metrics else next(iter(metrics))
        n, ece_n = results["n-samples"].get(task, {}).get("effective"), results[OURS]["ece_n"].get(task)
        yield Row(task, n, name.removesuffix(",none"), metrics[name], metrics.get("ece,none"), ece_n)


def sentence(results: Mapping[str, Any]) -> str:
    """The same in one line."""
    return "; ".join(
        f"{row.task} {row.metric} {row.value:.3f}"
        + (f" (n = {row.n})" if row.n else "")
        + (f", ECE {_ece(row)}" if row.ece is not None else "")
        for row in rows(results)
    )


def print_table(by_adapter: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Adapters and tasks in rows; accuracy and ECE with the number of examples that they are computed from."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("adapter", overflow="fold")
    table.add_column("task", overflow="fold")
    for column in ("n", "acc", "ECE"):
        table.add_column(column, justify="right")
    for name, results in by_adapter.items():
        for number, row in enumerate(rows(results)):
            value = f"{row.value:.3f}" if row.metric == "acc" else f"{row.metric} {row.value:.3f}"
            table.add_row("" if number else name, row.task, str(row.n or ""), value, _ece(row))
    console.print(table)


def _ece(row: Row) -> str:
    if row.ece is None:
        return ""
    return f"{row.ece:.3f}" + ("" if row.ece_n in (row.n, None) else f" (n = {row.ece_n})")
