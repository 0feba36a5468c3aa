"""A grid of panels, laid out in inches: matplotlib's own layout measures every label, and takes as long as drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.style import STRONG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE = 0.18
"""Height of a line of text of 10 points, in inches; of a row of the legend, too."""
LETTERS = 12.5
"""Of 10 points, in an inch, on the average."""
HANDLE = 0.6
"""Width of what a column of the legend has besides its text, in inches."""
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
    below = LINE * ceil(len(legend) / per_row) + 0.04 if legend else 0.0
    foot = 0.08 + (LINE * (said.count("\n") + 1) if said else 0.0)
    top = 0.06 + LINE * (title.count("\n") + 1)
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
        figure.text(0.5, 0.06 / height, said, ha="center", va="bottom", fontsize=10, color=STRONG)
    return figure, axes


def legend_columns(titles: Sequence[str], width: float) -> int:
    """The most columns that a figure of this width (inches) has room for; matplotlib fills one after the other."""
    for columns in range(len(titles), 1, -1):
        rows, longer = divmod(len(titles), columns)  # the first columns have a row more
        starts = [i * rows + min(i, longer) for i in range(columns + 1)]
        longest = [max(map(len, titles[start:end])) for start, end in pairwise(starts)]
        if sum(HANDLE + letters / LETTERS for letters in longest) <= width:
            return columns
    return 1
