"""Subspace overlap of pairs of methods: figure 4 of arXiv 2509.22621."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from ia2_eval.analyses.overlap import PairOverlap
from ia2_eval.analyses.panels import spread
from ia2_eval.leaderboard.style import column_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def overlap_figure(pairs: Sequence[PairOverlap], title: str) -> Figure:
    """A box for each pair of methods: quartiles of the overlap over sources, N and seeds, each of which is a point.

    The whiskers reach to the lowest and the highest value, and the dashed line is the mean chance level.

    Args:
        pairs: of one section and one definition, at least one, in table order.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(pair.columns for pair in pairs))
    names = ["\nand ".join(map(column_title, kind)) for kind in kinds]
    values = [[pair.overlap for pair in pairs if pair.columns == kind] for kind in kinds]
    figure = Figure(figsize=(max(4.8, 1.5 * len(kinds) + 1), 3.8), layout="constrained")
    panel = figure.subplots()
    panel.boxplot(
        values,
        positions=range(len(kinds)),
        whis=(0, 100),
        widths=0.55,
        medianprops={"color": "#D55E00", "linewidth": 1.6},
        boxprops={"color": "#555555"},
        whiskerprops={"color": "#555555"},
        capprops={"color": "#555555"},
        manage_ticks=False,
    )
    for x, of_pair in enumerate(values):
        offsets = [x + spread(i, len(of_pair), 0.4) for i in range(len(of_pair))]
        panel.scatter(offsets, of_pair, s=8, color="#0072B2", alpha=0.6, linewidth=0, zorder=3)
    chance = fmean(pair.chance for pair in pairs)
    panel.axhline(chance, color="black", linestyle="--", linewidth=1.2, label=f"chance level {chance:.3f}")
    panel.set_xticks(range(len(kinds)), names)
    panel.set_ylim(-0.02, 1.02)
    panel.set_ylabel("subspace overlap")
    panel.grid(axis="y")
    panel.legend(loc="best")
    figure.suptitle(title, fontsize=10)
    return figure
