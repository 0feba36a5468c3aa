"""What rescoring changed, for the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ia2_eval.experiments.record import Evaluation
from ia2_eval.scoring.version import SCORING_VERSION

NO_VALUE = "undefined"


class Change(NamedTuple):
    """A recorded number of one evaluation that is another now, or undefined."""

    cell: str
    eval: str
    metric: str
    old: str
    new: str


@dataclass
class RescoreReport:
    """Collects what was found, record by record."""

    changes: list[Change] = field(default_factory=list)
    added: Counter[str] = field(default_factory=Counter)
    """How many evaluations had no such metric before, by its name."""
    kept: Counter[str] = field(default_factory=Counter)
    """How many evaluations have such a metric that their rows do not yield, by its name."""
    faults: list[str] = field(default_factory=list)
    """Files that could not be used, and why."""
    reproduced: int = 0
    """Records all of whose recorded metrics came out the same."""
    changed: int = 0
    failed: int = 0
    """Records of failed cells, which have no metrics."""

    def compare(self, cell: str, old: Evaluation, new: Evaluation) -> None:
        """Note how a rescored evaluation differs from the recorded one."""
        self.changes += (Change(cell, old.eval, *difference) for difference in _differences(old, new))
        self.added.update(new.metrics.keys() - old.metrics.keys())

    def print(self, console: Console) -> None:
        if self.changes:
            table = Table(box=None, pad_edge=False)
            for column in ("record", "benchmark", "metric"):
                table.add_column(column, overflow="fold")
            for column in ("old", "new"):
                table.add_column(column, justify="right", overflow="fold")
            for change in self.changes:
                table.add_row(*map(Text, change))
            console.print(table)
        for title, counts in (("new", self.added), ("kept, as the rows do not yield them", self.kept)):
            if counts:
                names = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
                console.print(Text(f"{title}, with the number of evaluations: {names}"), soft_wrap=True)
        for fault in self.faults:
            console.print(Text(f"not used: {fault}", style="red"), soft_wrap=True)
        console.print(Text(self._summary()), soft_wrap=True)

    def _summary(self) -> str:
        parts = [f"{_counted(self.reproduced, 'record reproduces', 'records reproduce')} exactly"]
        if self.changed:
            parts.append(f"{self.changed} changed")
        if self.failed:
            parts.append(f"{_counted(self.failed, 'failed cell has', 'failed cells have')} no metrics")
        if self.faults:
            parts.append(f"{_counted(len(self.faults), 'file', 'files')} could not be used")
        return f"{', '.join(parts)}; scoring version {SCORING_VERSION}"


def _differences(old: Evaluation, new: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Name, old and new form of every recorded number that is another now."""
    for name, value in old.metrics.items():
        if name not in new.metrics:
            yield name, f"{value:.6g}", NO_VALUE
        elif not _same(value, new.metrics[name]):
            yield name, *_forms(value, new.metrics[name])
    for name, ends in old.intervals.items():
        if name in new.metrics and name not in new.intervals:
            yield f"{name} (95 %)", "{:.6g} to {:.6g}".format(*ends), NO_VALUE
        elif name in new.metrics and not all(map(_same, ends, new.intervals[name])):
            lower, upper = (_forms(*pair) for pair in zip(ends, new.intervals[name], strict=True))
            yield f"{name} (95 %)", f"{lower[0]} to {upper[0]}", f"{lower[1]} to {upper[1]}"


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)  # NaN is NaN


def _forms(old: float, new: float) -> tuple[str, str]:
    """Both with as many digits as tell them apart."""
    short = f"{old:.6g}", f"{new:.6g}"
    return short if short[0] != short[1] or old == new else (repr(old), repr(new))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
