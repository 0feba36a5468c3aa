"""Comparisons for the terminal: of each pair what decides, a line per place and metric, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.significance.comparison import Comparison
from ia2_eval.leaderboard.significance.evidence import LEVEL
from ia2_eval.leaderboard.significance.numerals import in_units, interval_ends, more_units, p_text
from ia2_eval.leaderboard.significance.tables import SETS, place_caption, pooled_caption, power_line
from ia2_eval.leaderboard.tables.table import ABSENT, eval_title

GAP = "  "
LEFT = (1, 3, 4)
"""Columns that stand at the left: places, metrics and differences, which are aligned by themselves."""
ELSEWHERE = "Every test, effect sizes and detectable differences are in comparisons.md and comparisons.csv only."


class Line(NamedTuple):
    values: tuple[str, ...]
    best: bool = False
    """Whether p (Holm), the last value but one, is below the level."""


def print_comparisons(comparisons: Sequence[Comparison], console: Console) -> None:
    """Prints of each section its places, then its datasets together; then once how to read them."""
    for section in dict.fromkeys(comparison.section for comparison in comparisons):
        of_section = [comparison for comparison in comparisons if comparison.section == section]
        for what, units, at_places in (("comparisons", "seeds", True), ("over datasets", "datasets", False)):
            shown = [comparison for comparison in of_section if (comparison.scope == "place") == at_places]
            if shown:
                console.print(Text(f"{section.title} · {what}", style="bold"))
                _print_table(shown, units, console)
                console.print()
    for remark in _captions(comparisons):
        console.print(Text(remark, style="dim"))
    console.print()


def _print_table(comparisons: Sequence[Comparison], units: str, console: Console) -> None:
    """Lines under the name of their pair; a line is never broken."""
    headers = [
        Line(("", "", "", "", "", "", "p", "more")),
        Line(("N", "set", units, "", "difference [95 %]", "p", "(Holm)", units)),
    ]
    pairs: dict[str, list[Line]] = {}
    for comparison in comparisons:
        pairs.setdefault(comparison.pair_title, []).append(_line(comparison))
    every = [*headers, *(line for lines in pairs.values() for line in lines)]
    widths = [max(map(cell_len, column)) for column in zip(*(line.values for line in every), strict=True)]
    for header in headers:
        console.print(_aligned(header, widths), soft_wrap=True)
    console.print(Text("─" * (sum(widths) + len(GAP) * (len(widths) - 1))), soft_wrap=True)
    for title, lines in pairs.items():
        console.print(Text(title, style="bold"), soft_wrap=True)
        place: tuple[str, ...] = ()
        for line in lines:
            repeated = line.values[:3] == place
            place = line.values[:3]
            shown = line._replace(values=("", "", "", *line.values[3:])) if repeated else line
            console.print(_aligned(shown, widths), soft_wrap=True)


def _aligned(line: Line, widths: Sequence[int]) -> Text:
    cells = []
    for i, (value, width) in enumerate(zip(line.values, widths, strict=True)):
        blank = " " * (width - cell_len(value))
        bold = line.best and i == len(widths) - 2
        text = Text(value, style="bold" if bold else "")
        cells.append(text + blank if i in LEFT else Text(blank) + text)
    return Text(GAP).join(cells)


def _line(comparison: Comparison) -> Line:
    n = "all" if comparison.scope == "all" else ABSENT if comparison.n is None else str(comparison.n)
    if comparison.scope == "place":
        place, units = get_benchmark(comparison.source).title, comparison.seeds
        if comparison.sets == "ood":
            place += f" → {eval_title(comparison.source, comparison.eval)}"
    else:
        place, units = SETS[comparison.sets], comparison.clusters or 0
    ends = interval_ends(comparison)
    difference = f"{in_units(comparison, comparison.difference):>6}" + (f" [{', '.join(ends)}]" if ends else "")
    # Of one or two seeds the test that decides is over examples: how many more of those is no answer here.
    more = ABSENT if comparison.primary.unit == "examples" else more_units(comparison)
    p = comparison.primary_p_holm
    return Line(
        (n, place, str(units), comparison.metric, difference, p_text(comparison.primary.p), p_text(p), more),
        best=p is not None and p < LEVEL,
    )


def _captions(comparisons: Sequence[Comparison]) -> Iterator[str]:
    at_places = [comparison for comparison in comparisons if comparison.scope == "place"]
    pooled = [comparison for comparison in comparisons if comparison.scope != "place"]
    lines = [
        *(place_caption(at_places) if at_places else ()),
        *([power_line("more seeds: for 80 % power", "seeds")] * bool(at_places)),
        *(pooled_caption(pooled) if pooled else ()),
        *([ELSEWHERE] * bool(comparisons)),
    ]
    yield from dict.fromkeys(lines)
