"""The layout of the papers: rows by N, source and evaluation set, columns by method. One model for every rendering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.headline import Headline, headline
from ia2_eval.leaderboard.results.learning_rate import Selection, headline_selection
from ia2_eval.leaderboard.style import Column, MethodStyle, column_styles
from ia2_eval.leaderboard.tables.caption import caption
from ia2_eval.protocol import Protocol

MISSING = "missing"
ABSENT = "–"
"""Of a metric that a finished cell does not have."""


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
    """Values that are marked: significantly better than those of every other column of the row."""


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


def tables(groups: Sequence[Group], rows: Sequence[Row]) -> list[Table]:
    """Per section: single-token, then multi-token benchmarks; under `strict` each with its oracle beside it."""
    found = []
    for section in sections(groups):
        section_groups, section_rows = section.groups(groups), section.rows(rows)
        for single_token in (True, False):
            at = places(section_groups, single_token)
            if not at:
                continue
            styles = column_styles(group.column for group in section_groups)
            reported = section_groups[0].headline(at[0].eval)  # alike for all of them
            found.append(_table(section, at, styles, section_rows, reported, single_token, oracle=False))
            trained = column_styles(group.column for group in section_groups if group.trained)
            if section.protocol == "strict" and trained:
                found.append(_table(section, at, trained, section_rows, reported, single_token, oracle=True))
    return found


def _table(
    section: Section,
    at: Sequence[Place],
    columns: Mapping[Column, MethodStyle],
    rows: Sequence[Row],
    reported: Headline,
    single_token: bool,
    oracle: bool,
) -> Table:
    wanted: tuple[Selection, ...] = ("oracle",) if oracle else section.selections
    shown = {
        (Place(row.N, row.source, row.eval), row.column, row.metric): row
        for row in rows
        if row.selection in wanted and row.column in columns
    }
    there = {metric for place, _, metric in shown if place in at}
    wished = headline(section.protocol, single_token, published=True)
    metrics = {"acc": reported.accuracy}
    if single_token or reported.calibration in there:
        metrics["ECE"] = reported.calibration
    if not single_token:
        metrics["unparsed"] = "unparsed"

    def stack(place: Place, column: Column) -> Stack:
        head = shown.get((place, column, reported.accuracy))
        if head is None:
            return (MISSING,) * len(metrics)
        return tuple(_value(shown.get((place, column, metric)), head) for metric in metrics.values())

    in_table = [row for (place, _, metric), row in shown.items() if place in at and metric in metrics.values()]
    examples = {Place(row.N, row.source, row.eval): str(row.n) for row in in_table}
    stacks = {place: tuple(stack(place, column) for column in columns) for place in at}
    return Table(
        title=section.title + (" · ORACLE learning rates" if oracle else ""),
        columns=tuple(style.title for style in columns.values()),
        values=tuple(metrics),
        rows=tuple(
            (
                ("–" if place.n is None else str(place.n), examples.get(place, MISSING)),
                (get_benchmark(place.source).title, eval_title(place.source, place.eval)),
                *stacks[place],
            )
            for place in at
        ),
        caption=tuple(
            caption(
                section.protocol,
                reported,
                tuple(metrics),
                in_table,
                recorded=there,
                shares=[
                    row.mean / row.n for (place, _, metric), row in shown.items() if place in at and metric == "ece_n"
                ],
                oracle="oracle" in wanted,
                mixed=reported != wished and wished.accuracy in there,
                absent=any(ABSENT in values for of_place in stacks.values() for values in of_place),
            )
        ),
    )


def _value(row: Row | None, accuracy: Row) -> str:
    """`78.7 (13.7)`, then `3/5` where seeds are missing, `†` where only another learning rate lacks some.

    `no_icl`, a single evaluation, has no std, so that its 0 is not taken for certainty.
    Accuracies and shares are per cent. What is missing is told once, with the accuracy, unless the metric lacks more.
    """
    if row is None:
        return ABSENT
    scale, form = (1, ".2f") if row.metric.startswith("ece") else (100, ".1f")
    if row.seeds_expected is None:
        return format(scale * row.mean, form)
    text = f"{scale * row.mean:{form}} ({_or_dash(None if row.std is None else scale * row.std, form)})"
    if row is not accuracy and row.seeds == accuracy.seeds:
        return text
    if row.seeds != row.seeds_expected:
        return f"{text} {row.seeds}/{row.seeds_expected}"
    return text if row.complete else f"{text} †"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
