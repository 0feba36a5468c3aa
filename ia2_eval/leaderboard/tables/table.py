"""The one form of a table for every rendering, and what a table is of: sections and places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.learning_rate import Selection, headline_selection
from ia2_eval.protocol import Protocol

MISSING = "missing"
"""Of cells that are expected and have not finished."""
ABSENT = "–"
"""Of what is not expected, and of a metric that a finished cell does not have."""


class Section(NamedTuple):
    """What is shown together: one base, protocol and adapter, beside the methods that need no adapter."""

    base: str
    protocol: Protocol
    adapter: str

    @property
    def title(self) -> str:
        return " · ".join(filter(None, (self.base, self.adapter, f"protocol {self.protocol}")))

    @property
    def selections(self) -> tuple[Selection, ...]:
        """Those of the rows that its table and figures show."""
        return ("none", headline_selection(self.protocol, trained=True))

    def groups(self, groups: Iterable[Group]) -> list[Group]:
        return [
            group
            for group in groups
            if (group.base, group.protocol) == (self.base, self.protocol) and group.adapter in ("", self.adapter)
        ]

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        return [
            row
            for row in rows
            if (row.base, row.protocol) == (self.base, self.protocol) and row.adapter in ("", self.adapter)
        ]


class Place(NamedTuple):
    """One row of a table."""

    n: int | None
    source: str
    eval: str


Stack = tuple[str, ...]
"""Values that stand side by side, or one above the other where there is little room."""

KEYS: tuple[Stack, ...] = (("N", "n"), ("source", "eval"))
"""What the first stacks of a row of methods' results are. n: number of evaluated examples."""


class Mark(NamedTuple):
    """A value of a table, by its place."""

    row: int
    column: int  # of the table's columns, not counting the keys
    value: int  # in its stack


@dataclass(frozen=True)
class Table:
    """The one form that every rendering takes: terminal, Markdown, LaTeX, HTML."""

    title: str
    columns: tuple[str, ...]  # such as methods with their variants
    values: Stack  # names of the values of each column, such as metrics
    rows: tuple[tuple[Stack, ...], ...]  # the stacks of `keys`, then one per column
    caption: tuple[str, ...]  # one remark each
    keys: tuple[Stack, ...] = KEYS
    best: frozenset[Mark] = frozenset()
    """Values that are marked; the caption says why, such as being better than all others of the row beyond chance."""

    def marked_rows(self) -> Iterator[list[list[tuple[str, bool]]]]:
        """The stacks of each row; with every value, whether it is marked."""
        first = len(self.keys)
        for i, row in enumerate(self.rows):
            yield [
                [(value, Mark(i, j - first, k) in self.best) for k, value in enumerate(stack)]
                for j, stack in enumerate(row)
            ]

    @cached_property
    def words(self) -> frozenset[str]:
        """Names of the keys whose values are words, not numbers: those stand at the left."""
        return frozenset(
            name
            for j, names in enumerate(self.keys)
            for k, name in enumerate(names)
            if any(row[j][k] != MISSING and any(map(str.isalpha, row[j][k])) for row in self.rows)
        )


def sections(groups: Sequence[Group]) -> list[Section]:
    """In table order. A base and protocol without any trained method is a section with adapter ""."""
    found = {Section(group.base, group.protocol, group.adapter) for group in groups}
    return sorted(
        section
        for section in found
        if section.adapter or not any(other.adapter and other[:2] == section[:2] for other in found)
    )


def places(groups: Sequence[Group], single_token: bool) -> list[Place]:
    """Rows of a section's table: by N, then source in the order of the benchmarks, the source's own set first.

    Every planned combination has its row, finished or not.
    """
    found = {
        Place(n, group.source, benchmark): (n or 0, list(BENCHMARKS).index(group.source), group.evals.index(benchmark))
        for group in groups
        for n in training_sizes(groups, group)
        for benchmark in group.evals
        if BENCHMARKS[benchmark].single_token == single_token
    }
    return sorted(found, key=lambda place: found[place])


def eval_title(source: str, benchmark: str) -> str:
    """The benchmark's title, with a star where it is not the source."""
    return get_benchmark(benchmark).title + ("*" if benchmark != source else "")
