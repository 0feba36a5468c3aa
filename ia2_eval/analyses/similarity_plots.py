"""Similarity to in-context learning, overall and by layer and response token: figure 2 of arXiv 2509.22621."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ia2_eval.analyses.panels import Place, cut_remark, drawn_interval, limits, panels, spread
from ia2_eval.analyses.similarity_rows import LayerSimilarity, RunSimilarity, TokenSimilarity
from ia2_eval.leaderboard.results.summary import Summary, summarise
from ia2_eval.leaderboard.style import Column, MethodStyle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Styles = Mapping[Column, MethodStyle]
UPRIGHT = 5
"""Methods beyond which their names do not fit beneath bars."""
LABEL_LENGTH = 24
"""Characters in a line of a name beside a bar, and what it takes in inches."""
LABEL_WIDTH = 1.9


def overall_figure(runs: Sequence[RunSimilarity], styles: Styles, title: str) -> Figure:
    """A bar for the mean over seeds with its 95 % interval, and a point for each seed; a panel for each place.

    The bars lie on their side where there are more than `UPRIGHT` methods.

    Args:
        runs: of one section and one way of comparing, at least one.
        styles: by method, in table order.
        title: of the figure; a remark is added where an interval is cut.
    """
    places = sorted({Place(run.source, run.eval, run.N) for run in runs})
    shown = [column for column in styles if any(run.column == column for run in runs)]
    values = {
        (place, column): [r.similarity for r in runs if (r.source, r.eval, r.N, r.column) == (*place, column)]
        for place in places
        for column in shown
    }
    summaries = {key: summarise(of_key, ddof=1) for key, of_key in values.items() if of_key}
    title += cut_remark(summaries.values())
    lying = len(shown) > UPRIGHT
    names = [fill(styles[c].title, LABEL_LENGTH) if lying else styles[c].title for c in shown]
    of_bar = 0.12 + 0.14 * max(len(name.splitlines()) for name in names)
    height, margin = (of_bar * len(shown) + 0.7, LABEL_WIDTH) if lying else (2.7, 0.0)
    figure, axes = panels(len(places), title, {}, height=height, margin=margin)
    ends = [end for summary in summaries.values() for end in drawn_interval(summary)]
    reach = limits(ends + [run.similarity for run in runs])
    for panel, place in zip(axes, places, strict=True):
        for at, column in enumerate(shown):
            if values[place, column]:
                _draw_bar(panel, at, values[place, column], summaries[place, column], styles[column].colour, lying)
        (panel.set_xlim if lying else panel.set_ylim)(*reach)
        panel.set_title(place.title)
        panel.grid(axis="x" if lying else "y")
    _label_bars(axes, names, lying)
    return figure


def _draw_bar(panel: Any, at: int, values: Sequence[float], summary: Summary, colour: str, lying: bool) -> None:
    low, high = drawn_interval(summary)
    error = [[summary.mean - low], [high - summary.mean]]
    offsets = [at + spread(i, len(values), 0.5) for i in range(len(values))]
    points = {"s": 8, "color": colour, "edgecolor": "black", "linewidth": 0.3, "zorder": 3}
    line = {"color": "black", "elinewidth": 1.2, "capsize": 4}
    if lying:
        panel.barh(at, summary.mean, 0.7, color=colour, alpha=0.55)
        panel.errorbar(summary.mean, at, xerr=error, **line)
        panel.scatter(values, offsets, **points)
    else:
        panel.bar(at, summary.mean, 0.7, color=colour, alpha=0.55)
        panel.errorbar(at, summary.mean, yerr=error, **line)
        panel.scatter(offsets, values, **points)


def _label_bars(axes: Sequence[Any], names: Sequence[str], lying: bool) -> None:
    """Names of the methods: beneath every panel, or once at the left of every line of panels, the first on top."""
    for number, panel in enumerate(axes):
        if lying:
            columns = panel.get_subplotspec().get_gridspec().ncols
            panel.set_yticks(range(len(names)), names if number % columns == 0 else [""] * len(names))
            panel.set_ylim(len(names) - 0.4, -0.6)
            panel.set_xlabel("similarity to ICL")
        else:
            panel.set_xticks(range(len(names)), names, rotation=30, ha="right")
    if not lying:
        axes[0].set_ylabel("similarity to ICL")


def layer_figure(layers: Sequence[LayerSimilarity], styles: Styles, title: str) -> Figure:
    """Similarity against the layer: mean over seeds with its 95 % interval; a panel for each place.

    Args:
        layers: of one section and one way of comparing, at least one.
        styles: by method, in table order.
        title: of the figure; a remark is added where an interval is cut.
    """
    places = sorted({Place(row.source, row.eval, row.N) for row in layers})
    shown = {column: style for column, style in styles.items() if any(row.column == column for row in layers)}
    values: dict[tuple[Place, Column], dict[int, list[float]]] = {}
    for row in layers:
        of_curve = values.setdefault((Place(row.source, row.eval, row.N), row.column), {})
        of_curve.setdefault(row.layer, []).append(row.similarity)
    curves = {
        key: {layer: summarise(of_curve[layer], ddof=1) for layer in sorted(of_curve)}
        for key, of_curve in values.items()
    }
    title += cut_remark(summary for curve in curves.values() for summary in curve.values())
    figure, axes = panels(len(places), title, shown)
    for panel, place in zip(axes, places, strict=True):
        for column, style in shown.items():
            if (place, column) in curves:
                _draw_curve(panel, curves[place, column], style)
        here = [summary for key, curve in curves.items() if key[0] == place for summary in curve.values()]
        panel.set_ylim(*limits([end for summary in here for end in drawn_interval(summary)]))
        panel.set_title(place.title)
        panel.set_xlabel("layer")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(axis="y")
    axes[0].set_ylabel("similarity to ICL")
    return figure


def _draw_curve(panel: Any, curve: Mapping[int, Summary], style: MethodStyle) -> None:
    """A line through the means, by layer, and a band for the intervals."""
    panel.plot(
        list(curve),
        [summary.mean for summary in curve.values()],
        color=style.colour,
        marker=style.marker,
        linestyle=style.line,
        markersize=4,
        linewidth=1.4,
    )
    low, high = zip(*map(drawn_interval, curve.values()), strict=True)
    panel.fill_between(list(curve), low, high, color=style.colour, alpha=0.15, linewidth=0)


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
        extent = (0.5, grid.shape[1] + 0.5, -0.5, grid.shape[0] - 0.5)  # tokens count from 1, layers from 0
        image = panel.imshow(grid, vmin=0, vmax=1, origin="lower", aspect="auto", interpolation="none", extent=extent)
        panel.set_title(fill(styles[column].title, 36))
        panel.set_xlabel("response token, from 1")
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
