"""Subspace overlap of pairs of methods: figure 4 of arXiv 2509.22621."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from ia2_eval.analyses.overlap import PairOverlap
from ia2_eval.analyses.panels import spread
from ia2_eval.leaderboard.style import BLUE, STRONG, VERMILION, Column, column_order, column_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BOXES = 8
"""Pairs beyond which a figure has a matrix in place of boxes."""
DARK = 0.55
"""Overlap up to which a cell of the matrix is so dark that its number is white."""


def overlap_figure(pairs: Sequence[PairOverlap], title: str) -> Figure:
    """Boxes for a few pairs of methods, a matrix for many.

    Args:
        pairs: of one section and one definition, at least one, in table order.
        title: of the figure.
    """
    few = len({pair.columns for pair in pairs}) <= BOXES
    return _boxes(pairs, title) if few else _matrix(pairs, title)


def _matrix(pairs: Sequence[PairOverlap], title: str) -> Figure:
    """Methods by methods: the mean overlap over sources, N and seeds, in colour and as a number."""
    from matplotlib.figure import Figure

    methods = sorted({*chain.from_iterable(pair.columns for pair in pairs)}, key=column_order)
    values: dict[tuple[Column, Column], list[float]] = {}
    for pair in pairs:
        values.setdefault(pair.columns, []).append(pair.overlap)
    rows, columns = methods[1:], methods[:-1]  # each pair once: below the diagonal
    grid = np.full((len(rows), len(columns)), np.nan)
    for (first, second), overlaps in values.items():
        grid[rows.index(second), columns.index(first)] = fmean(overlaps)
    side = 0.55 * len(rows)
    figure = Figure(figsize=(side + 3.4, side + 2.4), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(grid, vmin=0, vmax=1, interpolation="none")
    for (row, column), value in np.ndenumerate(grid):
        if not np.isnan(value):
            colour = "white" if value < DARK else "black"
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9)
    panel.set_xticks(range(len(columns)), [fill(column_title(c), 24) for c in columns], rotation=45, ha="right")
    panel.set_yticks(range(len(rows)), [fill(column_title(row), 24) for row in rows])
    chance = fmean(pair.chance for pair in pairs)
    bar = figure.colorbar(image, ax=panel, label=f"mean subspace overlap (line: chance level {chance:.3f})", shrink=0.8)
    bar.ax.axhline(chance, color="white", linestyle="--", linewidth=1.2)
    figure.suptitle(title, fontsize=10)
    return figure


def _boxes(pairs: Sequence[PairOverlap], title: str) -> Figure:
    """A box for each pair of methods: quartiles of the overlap over sources, N and seeds, each of which is a point.

    The whiskers reach to the lowest and the highest value, and the dashed line is the mean chance level.
    """
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(pair.columns for pair in pairs))
    names = ["\nand ".join(fill(column_title(column), 18) for column in kind) for kind in kinds]
    values = [[pair.overlap for pair in pairs if pair.columns == kind] for kind in kinds]
    figure = Figure(figsize=(max(4.8, 1.5 * len(kinds) + 1), 3.8), layout="constrained")
    panel = figure.subplots()
    panel.boxplot(
        values,
        positions=range(len(kinds)),
        whis=(0, 100),
        widths=0.55,
        medianprops={"color": VERMILION, "linewidth": 1.6},
        boxprops={"color": STRONG},
        whiskerprops={"color": STRONG},
        capprops={"color": STRONG},
        manage_ticks=False,
    )
    for x, of_pair in enumerate(values):
        offsets = [x + spread(i, len(of_pair), 0.4) for i in range(len(of_pair))]
        panel.scatter(offsets, of_pair, s=8, color=BLUE, alpha=0.6, linewidth=0, zorder=3)
    chance = fmean(pair.chance for pair in pairs)
    panel.axhline(chance, color="black", linestyle="--", linewidth=1.2, label=f"chance level {chance:.3f}")
    panel.set_xticks(range(len(kinds)), names)
    panel.set_ylim(-0.02, 1.02)
    panel.set_ylabel("subspace overlap")
    panel.grid(axis="y")
    panel.legend(loc="best")
    figure.suptitle(title, fontsize=10)
    return figure
