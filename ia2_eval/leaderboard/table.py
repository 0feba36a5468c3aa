"""The layout of the papers: rows by N, source and evaluation set, columns by method. One model for every rendering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.leaderboard.aggregate import Row, training_sizes
from ia2_eval.leaderboard.groups import Group
from ia2_eval.leaderboard.learning_rate import Selection, accuracy_metric, calibration_metric, headline_selection
from ia2_eval.leaderboard.style import Column, MethodStyle, column_styles
from ia2_eval.leaderboard.summary import describe_intervals
from ia2_eval.protocol import Protocol

MISSING = "missing"


class Section(NamedTuple):
    """What is shown together: one base, protocol and adapter, beside the methods that need no adapter."""

    base: str
    protocol: Protocol
    adapter: str

    @property
    def title(self) -> str:
        return " · ".join(filter(None, (self.base, self.adapter, f"protocol {self.protocol}")))

    @property
    def headline(self) -> tuple[Selection, ...]:
        """Selections of the rows that its table and figures show."""
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


Pair = tuple[str, str]
"""Two values that stand side by side, or one above the other where there is little room."""

KEYS: tuple[Pair, ...] = (("N", "n"), ("source", "eval"))
"""What the first pairs of a row are. n: number of evaluated examples."""


@dataclass(frozen=True)
class Table:
    title: str
    methods: tuple[str, ...]  # with their variants
    metrics: Pair  # of each method
    rows: tuple[tuple[Pair, ...], ...]  # the pairs of KEYS, then one per method
    caption: tuple[str, ...]  # one remark each


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
            found.append(_table(section, at, styles, section_rows, single_token, oracle=False))
            trained = column_styles(group.column for group in section_groups if group.trained)
            if section.protocol == "strict" and trained:
                found.append(_table(section, at, trained, section_rows, single_token, oracle=True))
    return found


def _table(
    section: Section,
    at: Sequence[Place],
    columns: Mapping[Column, MethodStyle],
    rows: Sequence[Row],
    single_token: bool,
    oracle: bool,
) -> Table:
    wanted: tuple[Selection, ...] = ("oracle",) if oracle else section.headline
    shown = {
        (Place(row.N, row.source, row.eval), row.column, row.metric): row for row in rows if row.selection in wanted
    }
    accuracy = accuracy_metric(section.protocol, single_token)
    second = calibration_metric(section.protocol) if single_token else "unparsed"
    in_table = [
        row
        for (place, column, metric), row in shown.items()
        if place in at and column in columns and metric == accuracy
    ]
    examples = {Place(row.N, row.source, row.eval): str(row.n) for row in in_table}
    return Table(
        title=section.title + (" · ORACLE learning rates" if oracle else ""),
        methods=tuple(style.title for style in columns.values()),
        metrics=("acc", "ECE" if single_token else "unparsed"),
        rows=tuple(
            (
                ("–" if place.n is None else str(place.n), examples.get(place, MISSING)),
                (get_benchmark(place.source).title, eval_title(place.source, place.eval)),
                *(
                    (
                        _accuracy(shown.get((place, column, accuracy))),
                        _second(shown.get((place, column, second)), per_cent=not single_token),
                    )
                    for column in columns
                ),
            )
            for place in at
        ),
        caption=tuple(_caption(section.protocol, single_token, "oracle" in wanted, in_table)),
    )


def _accuracy(row: Row | None) -> str:
    """`78.7 (13.7)` per cent, then `3/5` where seeds are missing, `†` where only another learning rate lacks some."""
    if row is None:
        return MISSING
    text = _per_cent(row)
    if row.seeds != row.seeds_expected:
        return f"{text} {row.seeds}/{row.seeds_expected}"
    return text if row.complete else f"{text} †"


def _second(row: Row | None, per_cent: bool) -> str:
    if row is None:
        return MISSING
    return _per_cent(row) if per_cent else f"{row.mean:.2f} ({_or_dash(row.std, '.2f')})"


def _per_cent(row: Row) -> str:
    return f"{100 * row.mean:.1f} ({_or_dash(None if row.std is None else 100 * row.std, '.1f')})"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _caption(protocol: Protocol, single_token: bool, oracle: bool, rows: Sequence[Row]) -> Iterable[str]:
    if not rows:
        yield "No cell has finished yet."
        return
    seeds = sorted({row.seeds_expected for row in rows if row.seeds_expected is not None})
    spread = "sample" if protocol == "strict" else "population"
    over = f"{'–'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds" if seeds else "one evaluation"
    yield f"Mean over {over} ({spread} std); n: evaluated examples. acc in per cent" + (
        "." if single_token else "; unparsed: share of answers without a readable result, per cent."
    )
    if single_token and protocol == "strict":
        yield "acc: best label is the right one. ECE: 15 equal-width bins of label-normalised confidence."
    elif single_token:
        yield "acc: best token of the vocabulary is the label. ECE: 15 equal-mass bins of label-normalised confidence."
    if any(row.learning_rate is not None for row in rows):
        weights = " and weight of IA2 + SFT" if protocol == "paper" and any(row.sft_weight for row in rows) else ""
        yield (
            f"Learning rate{weights}: highest accuracy on the very set that is reported (an oracle, so optimistic)."
            if oracle
            else "Learning rate: lowest dev loss, once per source, also for other evaluation sets."
        )
    if intervals := describe_intervals(row.interval for row in rows):
        yield f"95 % intervals (in leaderboard.csv and the plots): {'; '.join(intervals)}."
    if any(row.ood for row in rows):
        yield "*: out of distribution; demonstrations and training examples come from the source."
    if any(row.seeds != row.seeds_expected for row in rows):
        yield "3/5: seeds that are there / seeds expected."
    if any(row.seeds == row.seeds_expected and not row.complete for row in rows):
        yield "†: another learning rate lacks seeds and was not a candidate."
    if any(row.std is None for row in rows):
        yield "(–): one seed has no std."
