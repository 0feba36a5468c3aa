"""The layout of the papers: rows by N, source and evaluation set, columns by method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import LABEL_TYPES, OF_TEACHER, Group
from ia2_eval.leaderboard.results.headline import headline
from ia2_eval.leaderboard.results.learning_rate import Selection
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.style import Column, column_order, column_title
from ia2_eval.leaderboard.tables.caption import caption
from ia2_eval.leaderboard.tables.table import (
    ABSENT,
    MISSING,
    Mark,
    Place,
    Section,
    Stack,
    Table,
    eval_title,
    places,
    sections,
)


def tables(groups: Sequence[Group], rows: Sequence[Row], results: Results | None = None) -> list[Table]:
    """Per section and, where methods were trained on both, type of labels: single-token, then multi-token benchmarks;
    under `strict` each with its oracle beside it.

    Args:
        groups: all.
        rows: all.
        results: where the examples are that tell which values are significantly best; None to mark none.
    """
    found = []
    for section, label_type, shown in shown_together(groups):
        section_rows = section.rows(rows)
        title = " · labels: ".join(filter(None, (section.title, label_type)))
        for single_token in (True, False):
            at = places(shown, single_token)
            if not at:
                continue
            table = _table(title, section, at, shown, section_rows, single_token, oracle=False)
            found.append(table if results is None else _marked(table, results, at, shown, single_token))
            trained = [group for group in shown if group.trained]
            at = places(trained, single_token)
            if section.protocol == "strict" and at:
                found.append(_table(title, section, at, trained, section_rows, single_token, oracle=True))
    return found


def shown_together(groups: Sequence[Group]) -> Iterator[tuple[Section, str, list[Group]]]:
    """The groups of each table: by section and, where a method that has the choice was trained on both, type of labels,
    else ""; methods without an adapter stand in every section, those without labels beside both types."""
    for section in sections(groups):
        of_section = section.groups(groups)
        chosen = {group.label_type for group in of_section if group.method not in OF_TEACHER}
        for label_type in LABEL_TYPES if chosen.issuperset(LABEL_TYPES) else ("",):
            shown = [group for group in of_section if label_type in ("", group.label_type) or not group.label_type]
            yield section, label_type, shown


def _table(
    title: str,
    section: Section,
    at: Sequence[Place],
    groups: Sequence[Group],
    rows: Sequence[Row],
    single_token: bool,
    oracle: bool,
) -> Table:
    columns = _columns(groups, single_token)
    expected = {
        (Place(size, group.source, benchmark), group.column)
        for group in groups
        for size in training_sizes(groups, group)
        for benchmark in group.evals
    }
    reported = groups[0].headline(at[0].eval)  # alike for all of them
    wanted: tuple[Selection, ...] = ("oracle",) if oracle else section.selections
    wanted_places = frozenset(at)
    shown = {
        (place, row.column, row.metric): row
        for row in rows
        if row.selection in wanted and row.column in columns
        if (place := Place(row.N, row.source, row.eval)) in wanted_places
    }
    there = {metric for _, _, metric in shown}
    wished = headline(section.protocol, single_token, published=True)
    metrics = {"acc": reported.accuracy}
    if single_token or reported.calibration in there:
        metrics["ECE"] = reported.calibration
    if not single_token:
        metrics["unparsed"] = "unparsed"

    def stack(place: Place, column: Column) -> Stack:
        head = shown.get((place, column, reported.accuracy))
        if head is None:
            return (MISSING if (place, column) in expected else ABSENT,) * len(metrics)
        return tuple(_value(shown.get((place, column, metric)), head) for metric in metrics.values())

    in_table = [row for row in shown.values() if row.metric in metrics.values()]
    examples = {Place(row.N, row.source, row.eval): str(row.n) for row in in_table}
    stacks = {place: tuple(stack(place, column) for column in columns) for place in at}
    return Table(
        title=title + (" · ORACLE learning rates" if oracle else ""),
        columns=tuple(map(column_title, columns)),
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
                shares=[row.mean / row.n for row in shown.values() if row.metric == "ece_n"],
                oracle="oracle" in wanted,
                mixed=reported != wished and wished.accuracy in there,
                absent=any(ABSENT in values for of_place in stacks.values() for values in of_place),
            )
        ),
    )


def _columns(groups: Sequence[Group], single_token: bool) -> list[Column]:
    """Those that are evaluated on such benchmarks, in order."""
    wanted = {
        group.column
        for group in groups
        if any(get_benchmark(name).single_token == single_token for name in group.evals)
    }
    return sorted(wanted, key=column_order)


def _marked(table: Table, results: Results, at: Sequence[Place], groups: Sequence[Group], single_token: bool) -> Table:
    """The table with its significantly best values."""
    from ia2_eval.leaderboard.significance.best import BEST_CAPTION, significant_best

    columns = _columns(groups, single_token)
    marks: set[Mark] = set()
    for i, place in enumerate(at):
        row = [group for group in groups if group.source == place.source and place.n in training_sizes(groups, group)]
        if sum(place.eval in group.evals and bool(group.records) for group in row) < 2:
            continue
        best = significant_best(results, row, place.eval)
        for value, column in (("acc", best.accuracy), ("ECE", best.calibration)):
            if column is not None and value in table.values:
                marks.add(Mark(i, columns.index(column), table.values.index(value)))
    remarks = (*table.caption, BEST_CAPTION) if marks else table.caption
    return replace(table, best=frozenset(marks), caption=remarks)


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
