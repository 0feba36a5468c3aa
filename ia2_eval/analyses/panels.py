"""What the figures of the analyses share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.leaderboard.table import eval_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PER_LINE = 4


class Place(NamedTuple):
    """What one panel shows."""

    source: str
    eval: str
    N: int

    @property
    def title(self) -> str:
        to = "" if self.eval == self.source else f" → {eval_title(self.source, self.eval)}"
        return f"{eval_title(self.source, self.source)}{to}, N={self.N}"


def panels(count: int, title: str, legend: Mapping[Column, MethodStyle]) -> tuple[Figure, list[Any]]:
    """A figure with `count` panels and, below them, a legend of the methods.

    Args:
        count: at least 1.
        title: of the figure.
        legend: by method, in table order; without any there is no legend.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    lines = ceil(count / PER_LINE)
    columns = ceil(count / lines)
    width = max(5.2, 2.9 * columns)
    figure = Figure(figsize=(width, 2.7 * lines + 0.9), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.line, label=style.title)
        for style in legend.values()
    ]
    if handles:
        per_line = max(1, int(width / max(0.55 + 0.085 * len(style.title) for style in legend.values())))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), per_line))
    figure.suptitle(title, fontsize=10)
    return figure, axes[:count]


def spread(index: int, count: int, width: float) -> float:
    """Offset of one of `count` points that are spread evenly over a width, so that equal values stay apart."""
    return width * ((index + 0.5) / count - 0.5)


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Of an axis of similarities: 0 to 1, or from below where one is negative."""
    lowest = min(values)
    return (0.0 if lowest >= 0 else lowest - 0.05), 1.02
