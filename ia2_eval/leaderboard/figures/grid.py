"""A grid of panels, laid out in inches: measuring every label, as matplotlib's layout does, takes as long as drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE = 0.18
"""Height of a line of text of 10 points, in inches; a row of the legend has a little more."""
LEGEND_ROW = 0.21
LETTERS = 11.5
"""Of 10 points, in an inch, on the average."""
TITLE = 0.3
"""Room for the title of a panel, and for the numbers and the name of its horizontal axis."""
AXIS = 0.48


class Layout(NamedTuple):
    """In inches."""

    width: float  # of a panel
    height: float
    left: float  # before the first panel
    gap: float  # between panels that stand beside one another
    right: float = 0.15


def panel_grid(
    lines: int, columns: int, layout: Layout, title: str, legend: Mapping[str, Any], remarks: Sequence[str] = ()
) -> tuple[Figure, Any]:
    """An empty figure, and its axes [lines, columns].

    Args:
        lines: of panels.
        columns: panels in a line.
        layout: of one panel.
        title: of the figure; its lines are wrapped.
        legend: handle by label, below the panels in as many rows as are needed.
        remarks: what must be said besides, at the very bottom.
    """
    from matplotlib.figure import Figure

    width = layout.left + columns * layout.width + (columns - 1) * layout.gap + layout.right
    title = "\n".join(fill(line, int(LETTERS * width)) for line in title.splitlines())
    said = "\n".join(fill(remark, int(LETTERS * width)) for remark in remarks)
    per_row = legend_columns(list(legend), width)
    below = LEGEND_ROW * ceil(len(legend) / per_row) if legend else 0.0
    foot = 0.08 + (LINE * (said.count("\n") + 1) if said else 0.0)
    top = 0.12 + LINE * (title.count("\n") + 1)
    height = top + lines * (TITLE + layout.height + AXIS) + below + foot
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(
        lines,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": layout.left / width,
            "right": 1 - layout.right / width,
            "top": 1 - (top + TITLE) / height,
            "bottom": (AXIS + below + foot) / height,
            "wspace": layout.gap / layout.width,
            "hspace": (TITLE + AXIS) / layout.height,
        },
    )
    figure.suptitle(title, fontsize=10, y=1 - 0.06 / height, va="top")
    if legend:
        figure.legend(
            legend.values(),
            legend,
            loc="lower center",
            bbox_to_anchor=(0.5, foot / height),
            ncols=per_row,
            columnspacing=1.2,
            handletextpad=0.5,
            labelspacing=0.3,
            borderaxespad=0,
            borderpad=0,
        )
    if said:
        figure.text(0.5, 0.06 / height, said, ha="center", va="bottom", fontsize=10, color="#555555")
    return figure, axes


def legend_columns(titles: Sequence[str], width: float) -> int:
    """All in one row where a figure of this width (inches) has room for it, else as many as the longest title lets."""
    widths = [0.6 + len(title) / LETTERS for title in titles]  # handle and gaps
    return max(1, len(titles) if sum(widths) <= width else int(width / max(widths)))
