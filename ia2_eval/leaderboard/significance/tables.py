"""Comparisons as tables: of each place, what decides and then the rest; then over datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.significance.clustered import ENOUGH_DATASETS, FEW
from ia2_eval.leaderboard.significance.comparison import ENOUGH_SEEDS, Comparison
from ia2_eval.leaderboard.significance.evidence import LEVEL, TestName
from ia2_eval.leaderboard.significance.numerals import in_units, interval_ends, more_units, p_text
from ia2_eval.leaderboard.style import column_title
from ia2_eval.leaderboard.tables.table import ABSENT, Mark, Section, Stack, Table, eval_title

METRICS = ("acc", "ECE")
SETS = {"own": "own sets", "ood": "OOD sets*"}
HOLM_COLUMN = "p (Holm)"

Cell = Callable[[Comparison], str]


def comparison_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """Three per section: of its places what decides, then effect sizes, power and every test; then all its sources
    together, where there are two datasets or more.
    """
    found = []
    for section in dict.fromkeys(comparison.section for comparison in comparisons):
        of_section = [comparison for comparison in comparisons if comparison.section == section]
        at_places = [comparison for comparison in of_section if comparison.scope == "place"]
        found.append(_table(section, "comparisons", at_places, DECISION, place_caption(at_places)))
        found.append(_table(section, "effect, power and every test", at_places, DETAILS, _detail_caption(at_places)))
        pooled = [comparison for comparison in of_section if comparison.scope != "place"]
        if pooled:
            caption = (*pooled_caption(pooled), *_effect_lines("datasets"), *_datasets_line(pooled))
            found.append(_table(section, "over datasets", pooled, DECISION | EFFECT, caption))
    return found


def _table(
    section: Section,
    what: str,
    comparisons: Sequence[Comparison],
    columns: dict[str, Cell],
    caption: tuple[str, ...],
) -> Table:
    lines: dict[tuple[object, ...], dict[str, Comparison]] = {}
    for c in comparisons:
        lines.setdefault((c.method, c.against, c.scope, c.n, c.source, c.eval, c.sets), {})[c.metric] = c
    rows, marks = [], set()
    for i, by_metric in enumerate(lines.values()):
        both = [by_metric.get(metric) for metric in METRICS]
        stacks = [tuple(ABSENT if found is None else cell(found) for found in both) for cell in columns.values()]
        rows.append((*_keys([*filter(None, both)]), *stacks))
        for k, comparison in enumerate(both):
            p = comparison.primary_p_holm if comparison else None
            if p is not None and p < LEVEL and HOLM_COLUMN in columns:
                marks.add(Mark(i, [*columns].index(HOLM_COLUMN), k))
    over = "seeds" if comparisons[0].scope == "place" else "datasets"
    return Table(
        title=f"{section.title} · {what}",
        columns=tuple(columns),
        values=METRICS,
        rows=tuple(rows),
        caption=caption,
        keys=(("N", over), ("source", "eval"), ("method", "against")),
        best=frozenset(marks),
    )


def _keys(both: Sequence[Comparison]) -> tuple[Stack, Stack, Stack]:
    """Of a row, from its comparisons of accuracy and of ECE, or the one that there is."""
    comparison = both[0]
    n = "all" if comparison.scope == "all" else ABSENT if comparison.n is None else str(comparison.n)
    columns = column_title(comparison.method), column_title(comparison.against)
    if comparison.scope != "place":
        datasets = ", ".join(dict.fromkeys(str(found.clusters) for found in both))
        return (n, datasets), ("all", SETS[comparison.sets]), columns
    titles = get_benchmark(comparison.source).title, eval_title(comparison.source, comparison.eval)
    return (n, str(comparison.seeds)), titles, columns


def _interval(comparison: Comparison) -> str:
    ends = interval_ends(comparison)
    return " to ".join(ends) if ends else ABSENT


def _effect_size(comparison: Comparison) -> str:
    return ABSENT if comparison.effect_size is None else f"{comparison.effect_size:+.2f}"


def _answers(comparison: Comparison) -> str:
    return ABSENT if comparison.better is None else f"{comparison.better} : {comparison.worse}"


def _more(comparison: Comparison) -> str:
    """How many more seeds, examples or datasets have 80 % power."""
    more, unit = more_units(comparison), comparison.primary.unit or ""
    if more in (ABSENT, "never"):
        return more
    return f"{more} {unit.removesuffix('s') if more == '+1' else unit}"


def _detectable(comparison: Comparison) -> str:
    found = comparison.interval.detectable
    return ABSENT if found is None else in_units(comparison, found, "")


def _p_of(test: TestName) -> Cell:
    return lambda comparison: p_text(next((found.p for found in comparison.tests if found.test == test), None))


DECISION: dict[str, Cell] = {
    "difference": lambda comparison: in_units(comparison, comparison.difference),
    "95 % interval": _interval,
    "p": lambda comparison: p_text(comparison.primary.p),
    HOLM_COLUMN: lambda comparison: p_text(comparison.primary_p_holm),
}
EFFECT: dict[str, Cell] = {"d_z": _effect_size, "detectable": _detectable, "for 80 % power": _more}
DETAILS: dict[str, Cell] = {
    **EFFECT,
    "only right": _answers,
    "p: crossed": _p_of("crossed"),
    "p: t": _p_of("t"),
    "p: Wilcoxon": _p_of("wilcoxon"),
    "p: McNemar": _p_of("mcnemar"),
    "p: bootstrap": _p_of("bootstrap"),
}

HOLM_LINE = "p (Holm): over all comparisons of this command of the same metric and scope; bold below 0.05."
EFFECT_LINE = "d_z: mean / standard deviation of the differences over {units}."
DETECTABLE_LINE = "detectable: the true difference that these {units} find with 80 % power."


def power_line(what: str, units: str) -> str:
    """What the number of further units is, named as in the table."""
    return (
        f"{what}, if the true difference and spread are the observed ones, which few {units} tell poorly: an order of "
        f"magnitude; +0: there are enough; never: more do not help; {ABSENT}: cannot be told."
    )


def _effect_lines(units: str) -> tuple[str, ...]:
    return (
        EFFECT_LINE.format(units=units),
        DETECTABLE_LINE.format(units=units),
        power_line(f"for 80 % power: so many more {units}", units),
    )


def place_caption(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """How to read differences and p of places."""
    lines = [
        "difference: the first method minus the second, acc in percentage points; a lower ECE is better. *: out of "
        "distribution."
    ]
    if any(comparison.seeds >= ENOUGH_SEEDS for comparison in comparisons):
        lines.append(f"p of {ENOUGH_SEEDS} matched seeds or more: t over seeds and examples, both drawn anew.")
    if any(comparison.seeds < ENOUGH_SEEDS for comparison in comparisons):
        lines.append(
            f"p of fewer than {ENOUGH_SEEDS} seeds: exact McNemar (acc), paired bootstrap (ECE) over examples: whether "
            "these checkpoints differ, not whether the methods do."
        )
    lines.append(HOLM_LINE)
    if any(comparison.left_out for comparison in comparisons):
        most = max(comparison.left_out / comparison.examples for comparison in comparisons)
        lines.append(f"ECE leaves out examples for which one of the two has no confidence (up to {100 * most:.0f} %).")
    return tuple(lines)


def _detail_caption(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    few = any(comparison.seeds < ENOUGH_SEEDS for comparison in comparisons)
    return (
        *_effect_lines("seeds"),
        *([f"With fewer than {ENOUGH_SEEDS} matched seeds these two are of examples: seeds tell nothing."] * few),
        "only right: answers that only the method, only what it is compared with has right, over all seeds.",
        "p: not corrected; of other seeds and examples (crossed), of other seeds on these examples (t, Wilcoxon), of "
        "these checkpoints on other examples (McNemar, bootstrap). The test that decides was fixed beforehand; picking "
        "the least of a row is no test.",
    )


def pooled_caption(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """How to read what is said of all datasets together."""
    lines = [
        "over datasets: mean over datasets of the mean over all matched (N, seed); p: t of the datasets' means, so of "
        "other datasets like these.",
        HOLM_LINE,
    ]
    counts = {comparison.clusters or 0 for comparison in comparisons}
    if min(counts) < ENOUGH_DATASETS:
        lines.append("2 datasets are too few for a test over datasets: of others nothing can be told.")
    fewest = min((count for count in counts if count >= ENOUGH_DATASETS), default=FEW)
    if fewest < FEW:
        lines.append(f"{fewest} datasets are few: with {fewest - 1} degrees of freedom a difference must be great.")
    if any(comparison.sets == "ood" for comparison in comparisons):
        lines.append("*: out of distribution; sources that share an evaluation set are one dataset.")
    return tuple(lines)


def _datasets_line(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    accuracy, calibration = ({c.clusters for c in comparisons if c.metric == metric} for metric in METRICS)
    differ = calibration and accuracy != calibration
    return ("datasets, such as 3, 2: of acc, of ECE, which not all have.",) if differ else ()
