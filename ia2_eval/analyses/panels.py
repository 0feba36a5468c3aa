"""What the figures of the analyses share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.results.summary import Summary
from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.leaderboard.tables.table import eval_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PER_LINE = 4
LEGEND_ROW = 0.24
"""Height of a row of a legend, in inches."""
LONG_LEGEND = 6
"""Methods beyond which a figure is at least wide enough for two columns of them."""


class Place(NamedTuple):
    """What one panel shows."""

    source: str
    eval: str
    N: int

    @property
    def title(self) -> str:
        to = "" if self.eval == self.source else f" → {eval_title(self.source, self.eval)}"
        return f"{eval_title(self.source, self.source)}{to}, N={self.N}"


def panels(
    count: int, title: str, legend: Mapping[Column, MethodStyle], *, height: float = 2.7, margin: float = 0.0
) -> tuple[Figure, list[Any]]:
    """A figure with `count` panels and, below them, a legend of the methods.

    Args:
        count: at least 1.
        title: of the figure.
        legend: by method, in table order; without any there is no legend. The figure grows with its rows.
        height: of a panel with its title and labels, in inches.
        margin: further width on the left, in inches.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    lines = ceil(count / PER_LINE)
    columns = ceil(count / lines)
    width = max(7.2 if len(legend) > LONG_LEGEND else 5.2, 2.9 * columns + margin)
    entry = max((0.55 + 0.085 * len(style.title) for style in legend.values()), default=width)
    per_row = min(max(1, int(width / entry)), max(1, len(legend)))
    rows = ceil(len(legend) / per_row)
    size = (width, height * lines + 0.9 + LEGEND_ROW * max(0, rows - 1))
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.line, label=style.title)
        for style in legend.values()
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=per_row)
    figure.suptitle("\n".join(fill(line, int(11 * width)) for line in title.splitlines()), fontsize=10)
    return figure, axes[:count]


def spread(index: int, count: int, width: float) -> float:
    """Offset of one of `count` points that are spread evenly over a width, so that equal values stay apart."""
    return width * ((index + 0.5) / count - 0.5)


def drawn_interval(summary: Summary) -> tuple[float, float]:
    """The 95 % interval as far as a similarity can be, from -1 to 1; the mean twice where there is none."""
    if summary.ci_low is None or summary.ci_high is None:
        return summary.mean, summary.mean
    return min(summary.mean, max(summary.ci_low, -1.0)), max(summary.mean, min(summary.ci_high, 1.0))


def cut_remark(summaries: Iterable[Summary]) -> str:
    """What a title says where an interval is not drawn to its end."""
    cut = any((s.ci_low or 0.0) < -1 or (s.ci_high or 0.0) > 1 for s in summaries)
    return ", drawn up to -1 and 1" if cut else ""


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Of an axis of similarities: 0 to 1, or from below where one is negative."""
    lowest = min(values)
    return (0.0 if lowest >= 0 else lowest - 0.05), 1.02
