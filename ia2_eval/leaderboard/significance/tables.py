"""Comparisons as tables: of each place, then over datasets."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.significance.clustered import FEW
from ia2_eval.leaderboard.significance.comparison import ENOUGH_SEEDS, Comparison
from ia2_eval.leaderboard.significance.evidence import LEVEL
from ia2_eval.leaderboard.style import column_title
from ia2_eval.leaderboard.tables.table import ABSENT, Mark, Section, Stack, Table, eval_title

COLUMNS = ("difference", "95 % interval", "p", "p (Holm)", "for 80 % power")
METRICS = ("acc", "ECE")
HOLM_COLUMN = COLUMNS.index("p (Holm)")

SETS = {"own": "own sets", "ood": "OOD sets*"}


def comparison_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """Two per section: its places, and all its sources together where there are two datasets or more."""
    found = []
    for section in dict.fromkeys(comparison.section for comparison in comparisons):
        of_section = [comparison for comparison in comparisons if comparison.section == section]
        at_places = [comparison for comparison in of_section if comparison.scope == "place"]
        found.append(_table(section, at_places, of_places=True))
        pooled = [comparison for comparison in of_section if comparison.scope != "place"]
        if pooled:
            found.append(_table(section, pooled, of_places=False))
    return found


def _table(section: Section, comparisons: Sequence[Comparison], of_places: bool) -> Table:
    lines: dict[tuple[object, ...], dict[str, Comparison]] = {}
    for c in comparisons:
        lines.setdefault((c.method, c.against, c.scope, c.n, c.source, c.eval, c.sets), {})[c.metric] = c
    rows, marks = [], set()
    for i, by_metric in enumerate(lines.values()):
        both = [by_metric.get(metric) for metric in METRICS]
        cells = [_cells(comparison) for comparison in both]
        rows.append((*_keys(next(filter(None, both))), *zip(*cells, strict=True)))
        for k, comparison in enumerate(both):
            p = comparison.primary_p_holm if comparison else None
            if p is not None and p < LEVEL:
                marks.add(Mark(i, HOLM_COLUMN, k))
    return Table(
        title=f"{section.title} · {'comparisons' if of_places else 'over datasets'}",
        columns=COLUMNS,
        values=METRICS,
        rows=tuple(rows),
        caption=_place_caption(comparisons) if of_places else _pooled_caption(comparisons),
        keys=(("N", "seeds" if of_places else "datasets"), ("source", "eval"), ("method", "against")),
        best=frozenset(marks),
    )


def _keys(comparison: Comparison) -> tuple[Stack, Stack, Stack]:
    n = "all" if comparison.scope == "all" else ABSENT if comparison.n is None else str(comparison.n)
    columns = column_title(comparison.method), column_title(comparison.against)
    if comparison.scope != "place":
        return (n, str(comparison.clusters)), ("all", SETS[comparison.sets]), columns
    titles = get_benchmark(comparison.source).title, eval_title(comparison.source, comparison.eval)
    return (n, str(comparison.seeds)), titles, columns


def _cells(comparison: Comparison | None) -> tuple[str, ...]:
    if comparison is None:
        return (ABSENT,) * len(COLUMNS)
    scale, form = (100, "+.1f") if comparison.metric == "acc" else (1, "+.3f")
    low, high = comparison.interval.ci_low, comparison.interval.ci_high
    return (
        f"{scale * comparison.difference:{form}}",
        ABSENT if low is None or high is None else f"{scale * low:{form}} to {scale * high:{form}}",
        p_text(comparison.primary.p),
        p_text(comparison.primary_p_holm),
        _needed(comparison),
    )


def p_text(p: float | None) -> str:
    """Three decimals; below them, that it is below."""
    return ABSENT if p is None else "<.001" if p < 0.001 else f"{p:.3f}"


def _needed(comparison: Comparison) -> str:
    needed, unit = comparison.primary.needed, comparison.primary.unit
    if needed is None:
        return ABSENT
    return "never" if isinf(needed) else f"{needed:.0f} {unit}"


HOLM_LINE = "p (Holm): over all comparisons of this command of the same metric and scope; bold below 0.05."


def _place_caption(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    lines = ["difference: method less against, acc in per cent points; of ECE less is better. *: out of distribution."]
    if any(comparison.seeds >= ENOUGH_SEEDS for comparison in comparisons):
        lines.append(f"p of {ENOUGH_SEEDS} matched seeds or more: t over seeds and examples, both drawn anew.")
    if any(comparison.seeds < ENOUGH_SEEDS for comparison in comparisons):
        lines.append(
            "p of fewer: exact McNemar (acc), paired bootstrap (ECE) over examples: whether these checkpoints differ, "
            "not whether the methods do."
        )
    lines.append(HOLM_LINE)
    lines.append(
        "for 80 % power: seeds (examples) in all, if the true difference is the observed one; never: more do not help."
    )
    if any(comparison.left_out for comparison in comparisons):
        most = max(comparison.left_out / comparison.examples for comparison in comparisons)
        lines.append(f"ECE: without examples whose confidence either lacks, at most {100 * most:.0f} per cent.")
    return tuple(lines)


def _pooled_caption(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    lines = [
        "difference: mean over datasets of the mean over all matched (N, seed); p: t of the datasets' means, so of "
        "other datasets like these.",
        HOLM_LINE,
        "for 80 % power: datasets in all, if the true difference is the observed one.",
    ]
    fewest = min(comparison.clusters or 0 for comparison in comparisons)
    if fewest < FEW:
        freedom = "1 degree" if fewest == 2 else f"{fewest - 1} degrees"
        lines.append(f"{fewest} datasets are few: with {freedom} of freedom a difference must be great.")
    if any(comparison.sets == "ood" for comparison in comparisons):
        lines.append("*: out of distribution; sources that share an evaluation set are one dataset.")
    return tuple(lines)
