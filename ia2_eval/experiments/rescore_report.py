"""What rescoring changed, for the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.scoring.version import SCORING_VERSION

NO_VALUE = "undefined"
ROUNDING = 1e-9
"""Numbers that differ by less, absolutely or relatively, are the same up to rounding."""


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
    exact: int = 0
    """Records all of whose recorded numbers came out the same."""
    rounded: int = 0
    """Others of whose numbers differ in their last digits only."""
    changed: int = 0
    failed: int = 0
    """Records of failed cells, which have no metrics."""
    rewritten: int = 0
    """Files of rows that were written anew."""

    def compare(self, old: Record, new: Record, whole: bool) -> None:
        """Note how a rescored record differs from what it was; `whole`: all of it could be rescored."""
        changes = []
        for before, after in zip(old.evaluations, new.evaluations, strict=True):
            changes += [Change(old.cell.label, before.eval, *change) for change in _changes(before, after)]
            self.added.update(after.metrics.keys() - before.metrics.keys())
        self.changes += changes
        if changes:
            self.changed += 1
        elif whole and all(map(_equal, old.evaluations, new.evaluations)):
            self.exact += 1
        elif whole:
            self.rounded += 1

    def print(self, console: Console, directory: Path) -> None:
        """`directory`: of the run."""
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
        if self.rewritten:
            which = "" if self.changes else ", though no metric is another now"
            console.print(
                Text(f"{_counted(self.rewritten, 'file of rows was', 'files of rows were')} rewritten{which}")
            )
        console.print(Text(self._summary()), soft_wrap=True)
        if self.changes or self.added:
            console.print(Text(f"tables and plots anew: ia2-eval leaderboard build {directory}"), soft_wrap=True)

    def _summary(self) -> str:
        parts = [f"{_counted(self.exact, 'record reproduces', 'records reproduce')} exactly"]
        if self.rounded:
            parts.append(f"{self.rounded} up to rounding")
        if self.changed:
            parts.append(f"{self.changed} changed")
        if self.failed:
            parts.append(f"{_counted(self.failed, 'failed cell has', 'failed cells have')} no metrics")
        if self.faults:
            parts.append(f"{_counted(len(self.faults), 'file', 'files')} could not be used")
        return f"{', '.join(parts)}; scoring version {SCORING_VERSION}"


def _changes(old: Evaluation, new: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Name, old and new form of every recorded metric that is another now, and of every interval that alone is."""
    for name, value in old.metrics.items():
        ends, others = old.intervals.get(name, ()), new.intervals.get(name, ())
        if name not in new.metrics:
            yield name, f"{value:.6g}", NO_VALUE
        elif not _close(value, new.metrics[name]):
            yield name, *_forms(value, new.metrics[name])
        elif ends and not (others and all(map(_close, ends, others))):
            yield f"{name} (95 %)", _interval(ends), _interval(others)


def _equal(old: Evaluation, new: Evaluation) -> bool:
    """Whether everything that the old one has is in the new one, bit for bit."""
    return all(
        name in numbers and repr(numbers[name]) == repr(value)  # NaN is NaN
        for recorded, numbers in ((old.metrics, new.metrics), (old.intervals, new.intervals))
        for name, value in recorded.items()
    )


def _close(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=ROUNDING, abs_tol=ROUNDING) or (a != a and b != b)


def _forms(old: float, new: float) -> tuple[str, str]:
    """Both with as many digits as tell them apart."""
    short = f"{old:.6g}", f"{new:.6g}"
    return short if short[0] != short[1] else (repr(old), repr(new))


def _interval(ends: Sequence[float]) -> str:
    return " to ".join(f"{end:.6g}" for end in ends) or NO_VALUE


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
