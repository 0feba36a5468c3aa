"""Similarity to in-context learning, overall and by layer and response token: figure 2 of arXiv 2509.22621."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ia2_eval.analyses.panels import Place, limits, panels, spread
from ia2_eval.analyses.similarity_rows import LayerSimilarity, RunSimilarity, TokenSimilarity
from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.leaderboard.summary import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Styles = Mapping[Column, MethodStyle]


def overall_figure(runs: Sequence[RunSimilarity], styles: Styles, title: str) -> Figure:
    """A bar for the mean over seeds with its 95 % interval, and a point for each seed; a panel for each place.

    Args:
        runs: of one section and one way of comparing, at least one.
        styles: by method, in table order.
        title: of the figure.
    """
    places = sorted({Place(run.source, run.eval, run.N) for run in runs})
    figure, axes = panels(len(places), title, {})
    shown = [column for column in styles if any(run.column == column for run in runs)]
    for panel, place in zip(axes, places, strict=True):
        for x, column in enumerate(shown):
            values = [r.similarity for r in runs if (r.source, r.eval, r.N, r.column) == (*place, column)]
            if not values:
                continue
            summary = summarise(values, ddof=1)
            panel.bar(x, summary.mean, width=0.7, color=styles[column].colour, alpha=0.55)
            reach = 0.0 if summary.ci_high is None else summary.ci_high - summary.mean
            panel.errorbar(x, summary.mean, yerr=reach, color="black", elinewidth=1.2, capsize=4)
            offsets = [x + spread(i, len(values), 0.5) for i in range(len(values))]
            panel.scatter(offsets, values, s=8, color=styles[column].colour, edgecolor="black", linewidth=0.3, zorder=3)
        panel.set_xticks(range(len(shown)), [styles[column].title for column in shown], rotation=30, ha="right")
        panel.set_ylim(*limits([run.similarity for run in runs]))
        panel.set_title(place.title)
        panel.grid(axis="y")
    axes[0].set_ylabel("similarity to ICL")
    return figure


def layer_figure(layers: Sequence[LayerSimilarity], styles: Styles, title: str) -> Figure:
    """Similarity against the layer: mean over seeds with its 95 % interval; a panel for each place.

    Args:
        layers: of one section and one way of comparing, at least one.
        styles: by method, in table order.
        title: of the figure.
    """
    places = sorted({Place(row.source, row.eval, row.N) for row in layers})
    shown = {column: style for column, style in styles.items() if any(row.column == column for row in layers)}
    figure, axes = panels(len(places), title, shown)
    for panel, place in zip(axes, places, strict=True):
        here = [row for row in layers if (row.source, row.eval, row.N) == place]
        depth = sorted({row.layer for row in here})
        for column, style in shown.items():
            by_layer = [[r.similarity for r in here if (r.column, r.layer) == (column, layer)] for layer in depth]
            if not all(by_layer):
                continue
            summaries = [summarise(values, ddof=1) for values in by_layer]
            panel.plot(
                depth,
                [summary.mean for summary in summaries],
                color=style.colour,
                marker=style.marker,
                linestyle=style.line,
                markersize=4,
                linewidth=1.4,
            )
            low = [summary.mean if summary.ci_low is None else summary.ci_low for summary in summaries]
            high = [summary.mean if summary.ci_high is None else summary.ci_high for summary in summaries]
            panel.fill_between(depth, low, high, color=style.colour, alpha=0.15, linewidth=0)
        panel.set_ylim(*limits([row.similarity for row in here]))
        panel.set_title(place.title)
        panel.set_xlabel("layer")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(axis="y")
    axes[0].set_ylabel("similarity to ICL")
    return figure


def token_figure(tokens: Sequence[TokenSimilarity], styles: Styles, title: str) -> Figure:
    """Heat maps, layers by response tokens: mean over seeds, of each the mean over examples; a panel for each method.

    Args:
        tokens: of one section, one way of comparing and one place, at least one.
        styles: by method, in table order.
        title: of the figure.
    """
    shown = [column for column in styles if any(row.column == column for row in tokens)]
    figure, axes = panels(len(shown), title, {})
    image: Any = None
    for panel, column in zip(axes, shown, strict=True):
        grid = _mean_grid([row for row in tokens if row.column == column])
        image = panel.imshow(grid, vmin=0, vmax=1, origin="lower", aspect="auto", cmap="viridis", interpolation="none")
        panel.set_title(styles[column].title)
        panel.set_xlabel("response token")
        for axis in (panel.xaxis, panel.yaxis):
            axis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("layer")
    figure.colorbar(image, ax=axes, label="similarity to ICL", extend="min", shrink=0.9)
    return figure


def _mean_grid(tokens: Sequence[TokenSimilarity]) -> NDArray[np.float64]:
    """[layers, tokens], mean over seeds; a seed whose responses are all shorter does not count."""
    shape = (max(row.layer for row in tokens) + 1, max(row.token for row in tokens) + 1)
    total, count = np.zeros(shape), np.zeros(shape)
    for row in tokens:
        total[row.layer, row.token] += row.similarity
        count[row.layer, row.token] += 1
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
