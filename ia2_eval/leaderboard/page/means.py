"""Means over seeds as rows of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

import numpy as np

from ia2_eval.benchmarks import BENCHMARKS
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.page.diagram import diagram
from ia2_eval.leaderboard.page.records import Records
from ia2_eval.leaderboard.page.shared import Json, scaled
from ia2_eval.leaderboard.page.tables import Tables
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import Candidate, Group, evaluation_on
from ia2_eval.leaderboard.results.learning_rate import Selection, chosen_candidates, headline_selection
from ia2_eval.leaderboard.results.reliability import reliability
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.style import column_order
from ia2_eval.protocol import Protocol


class Entry(NamedTuple):
    """What a row of `aggregate` is of."""

    base: str
    adapter: str
    protocol: Protocol
    source: str
    method: str
    variant: str
    n: int | None
    eval: str
    selection: Selection
    metric: str

    @classmethod
    def of(cls, row: Row) -> Entry:
        of_group = (row.base, row.adapter, row.protocol, row.source, row.method, row.variant)
        return cls(*of_group, row.N, row.eval, row.selection, row.metric)

    @classmethod
    def at(cls, group: Group, size: int | None, benchmark: str, selection: Selection, metric: str) -> Entry:
        of_group = (group.base, group.adapter, group.protocol, group.source, group.method, group.variant)
        return cls(*of_group, size, benchmark, selection, metric)


def means(
    results: Results,
    groups: Sequence[Group],
    rows: Sequence[Row],
    best: Set[Entry],
    records: Records,
    tables: Tables,
) -> list[Json]:
    """A row per group, benchmark, size and choice of the learning rate, also of what is missing; methods that are
    compared stand together.

    Args:
        results: what the rows are of.
        groups: in table order.
        rows: of the groups, see `aggregate`.
        best: those that are marked.
        records: that have been added.
        tables: where common values go.
    """
    found = {Entry.of(row): row for row in rows}
    made = [
        (_order(group, size, benchmark), row)
        for group in groups
        for benchmark in group.evals
        for size, row in _rows(results, groups, group, benchmark, found, best, records, tables)
    ]
    return [row for _, row in sorted(made, key=lambda pair: pair[0])]


def _order(group: Group, size: int | None, benchmark: str) -> tuple[object, ...]:
    names = list(BENCHMARKS)
    place = (names.index(group.source), group.evals.index(benchmark))
    return group.base, group.protocol, size or 0, *place, column_order(group.column), group.adapter


def _rows(
    results: Results,
    groups: Sequence[Group],
    group: Group,
    benchmark: str,
    found: dict[Entry, Row],
    best: Set[Entry],
    records: Records,
    tables: Tables,
) -> Iterator[tuple[int | None, Json]]:
    reported, chosen = group.headline(benchmark), chosen_candidates(group, benchmark)
    wanted = headline_selection(group.protocol, group.trained)
    for selection in dict.fromkeys((wanted, *chosen)):
        candidate = chosen.get(selection)
        of_candidate = group.at(candidate) if candidate else []
        places = [records.places.get((record.key, benchmark)) for record in of_candidate]
        drawn = tables.diagram(_pooled(results, group, benchmark, candidate)) if candidate else None
        for size in training_sizes(groups, group):
            entries = [
                Entry.at(group, size, benchmark, selection, metric)
                for metric in (reported.accuracy, reported.calibration)
            ]
            accuracy, calibration = map(found.get, entries)
            yield (
                size,
                [
                    tables.group(
                        group.base, group.adapter, group.protocol, group.source, size, group.column, group.label_type
                    ),
                    tables.benchmark(benchmark),
                    tables.headline(group, benchmark),
                    selection,
                    selection == wanted,
                    [*candidate] if candidate else [None, None],
                    _value(accuracy),
                    _value(calibration),
                    [entry in best for entry in entries],
                    *_seeds(group, accuracy, candidate),
                    accuracy.n if accuracy else None,
                    drawn,
                    [place for place in places if place is not None],
                ],
            )


def _value(row: Row | None) -> Json:
    """`[mean, std, low, high]`; no std of a single evaluation, whose 0 would be taken for certainty.

    The interval is cut to what an accuracy or an ECE can be, as in the plots.
    """
    if row is None:
        return None
    std = None if row.seeds_expected is None else row.std
    ends = [None if end is None else min(max(end, 0.0), 1.0) for end in (row.ci_low, row.ci_high)]
    return [scaled(value) for value in (row.mean, std, *ends)]


def _seeds(group: Group, accuracy: Row | None, candidate: Candidate | None) -> tuple[int | None, int | None, bool]:
    """Seeds that have finished, seeds expected, whether nothing is missing."""
    if group.seedless:
        return None, None, accuracy is not None and accuracy.complete
    if accuracy is not None:
        return accuracy.seeds, accuracy.seeds_expected, accuracy.complete
    candidates = {candidate} if candidate else {expected for expected, _ in group.expected}
    return 0, max(map(group.seeds_expected, candidates), default=0), False


def _pooled(results: Results, group: Group, benchmark: str, candidate: Candidate) -> Json:
    """The diagram of all seeds together; a file that cannot be used has been named with its record."""
    reported = group.headline(benchmark)
    outcomes = []
    for record in group.at(candidate):
        evaluation = evaluation_on(record, benchmark)
        if evaluation is not None and evaluation.samples:
            try:
                outcomes.append(results.outcomes(record, evaluation, reported))
            except UserError:
                continue
    if not outcomes:
        return None
    confidence = np.concatenate([each.confidence for each in outcomes])
    correct = np.concatenate([each.hits for each in outcomes])
    return diagram(reliability(confidence, correct, reported.bins, len(outcomes)), reported.bins)
