"""Accuracy or calibration error against the size N of the training set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil, fsum, log2
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.figures.grid import Layout, panel_grid
from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.style import FAINT_LINE, Column, MethodStyle
from ia2_eval.leaderboard.tables.table import eval_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DODGE = 0.09  # distance between methods at the same N, in doublings of N
WIDEST = 0.7  # from the first to the last method at the same N, in doublings of N
PANELS_PER_LINE = 3
LEAST_SIZES, MOST_BANDS = 3, 4  # N from which on, and methods up to which intervals are bands
FLOOR = "dotted: noise floor, the ECE that perfect calibration shows by chance (mean over the methods)"


class Axis(NamedTuple):
    """How a metric is shown."""

    name: str
    scale: float
    least_range: float  # in that scale: less would show noise as a difference


ACCURACY = Axis("accuracy (%)", 100.0, 5.0)
CALIBRATION = Axis("ECE", 1.0, 0.05)


def metric_figure(
    rows: Sequence[Row],
    styles: Mapping[Column, MethodStyle],
    without_size: Collection[Column],
    axis: Axis,
    title: str,
    floors: Sequence[Row] = (),
) -> Figure:
    """One panel per (source, eval), a line per method and variant with 95 % intervals; those without N, such as
    `no_icl`, are horizontal.

    The intervals are bands where that can be read: from `LEAST_SIZES` N on, with at most `MOST_BANDS` methods that
    have each N. Else they are bars, and methods at one N stand side by side.

    Args:
        rows: of one section and one metric, at least one.
        styles: of the columns, in table order.
        without_size: those that have no N.
        axis: how the metric is shown.
        title: of the figure.
        floors: `ece_noise_floor` rows of the same results, whose mean over the methods is drawn.
    """
    from matplotlib.lines import Line2D

    pairs = list(dict.fromkeys((row.source, row.eval) for row in rows))
    drawn = {column: style for column, style in styles.items() if any(row.column == column for row in rows)}
    sized = [column for column in drawn if column not in without_size]
    bands = _as_bands([row for row in rows if row.column in sized])
    lines = ceil(len(pairs) / PANELS_PER_LINE)
    columns = ceil(len(pairs) / lines)
    layout = Layout(width=4.3 if columns == 1 else 3.0, height=2.4, left=0.75, gap=0.55)
    legend = {
        style.title: Line2D([], [], **(style.curve if column in sized else _horizontal(style)))
        for column, style in drawn.items()
    }
    figure, axes = panel_grid(lines, columns, layout, title, legend, [FLOOR] if floors else [])
    for panel in axes.flat[len(pairs) :]:
        panel.set_axis_off()
    for panel, pair in zip(axes.flat, pairs, strict=False):
        here = [row for row in rows if (row.source, row.eval) == pair]
        _draw_panel(panel, here, drawn, sized, axis, bands)
        _draw_floor(panel, [row for row in floors if (row.source, row.eval) == pair], axis)
        low, high = panel.dataLim.intervaly
        panel.set_ylim(limits(float(low), float(high), axis))
        panel.set_title(pair_title(*pair))
    for panel in axes[:, 0]:
        panel.set_ylabel(axis.name)
    return figure


def pair_title(source: str, benchmark: str) -> str:
    """Such as `SST2` and `SST2 → FinS*`."""
    return eval_title(source, source) + ("" if benchmark == source else f" → {eval_title(source, benchmark)}")


def limits(low: float, high: float, axis: Axis) -> tuple[float, float]:
    """Of an axis that shows values from `low` to `high`: beyond what the metric can be it has padding only."""
    span = max(high - low, axis.least_range)
    low = min(max((low + high - span) / 2, 0.0), axis.scale - span)
    padding = min(0.05 * span, 0.03 * axis.scale)
    return low - padding, low + span + padding


def reach(row: Row | None, sign: int, axis: Axis) -> float:
    """How far the interval, cut to what the metric can be, goes below (-1) or above (1) the mean."""
    bound = None if row is None else row.ci_low if sign < 0 else row.ci_high
    if row is None or bound is None:
        return 0.0
    return max(0.0, axis.scale * sign * (min(max(bound, 0.0), 1.0) - row.mean))


def _as_bands(rows: Sequence[Row]) -> bool:
    """Whether bands can be read: a point between gaps would have none, and many cover one another."""
    sized = {(row.source, row.eval, row.column, row.N) for row in rows if row.N is not None}
    curves = {place[:3] for place in sized}
    sizes = {pair: {n for *other, _, n in sized if tuple(other) == pair} for pair in {curve[:2] for curve in curves}}
    return (
        bool(sizes)
        and min(map(len, sizes.values())) >= LEAST_SIZES
        and len({column for _, _, column in curves}) <= MOST_BANDS
        and len(sized) == sum(len(sizes[curve[:2]]) for curve in curves)
    )


def _draw_panel(
    panel: Axes,
    rows: Sequence[Row],
    styles: Mapping[Column, MethodStyle],
    sized: Sequence[Column],
    axis: Axis,
    bands: bool,
) -> None:
    sizes = sorted({row.N for row in rows if row.N is not None})
    dodge = 0.0 if bands else min(DODGE, WIDEST / max(1, len(sized)))
    for column, style in styles.items():
        of_column = sorted((row for row in rows if row.column == column), key=lambda row: row.N or 0)
        if not of_column:
            continue
        if column not in sized:
            _draw_horizontal(panel, of_column[0], style, axis)
            continue
        offset = dodge * (sized.index(column) - (len(sized) - 1) / 2)
        by_size = {row.N: row for row in of_column}
        there = [by_size.get(size) for size in sizes]
        at = [log2(size) + offset for size in sizes]
        means = [axis.scale * row.mean if row else float("nan") for row in there]
        below, above = ([reach(row, sign, axis) for row in there] for sign in (-1, 1))
        if bands:
            low, high = zip(*((m - b, m + a) for m, b, a in zip(means, below, above, strict=True)), strict=True)
            panel.fill_between(at, low, high, color=style.colour, alpha=0.1, linewidth=0)
            for edge in (low, high):  # or nobody could tell which band ends where two cover one another
                panel.plot(at, edge, color=style.colour, linestyle=style.line, linewidth=0.6, alpha=0.6)
            panel.plot(at, means, **style.curve)
        else:
            panel.errorbar(at, means, yerr=[below, above], **style.errorbar)
    panel.set_xticks([log2(size) for size in sizes], [str(size) for size in sizes])
    if sizes:
        panel.set_xlim(log2(sizes[0]) - 0.4, log2(sizes[-1]) + 0.4)
    panel.set_xlabel("N (training examples)")
    panel.grid(axis="y")


def _draw_horizontal(panel: Axes, row: Row, style: MethodStyle, axis: Axis) -> None:
    mean = axis.scale * row.mean
    panel.axhline(mean, **_horizontal(style))
    if row.interval is not None:
        low, high = (mean + sign * reach(row, sign, axis) for sign in (-1, 1))
        panel.axhspan(low, high, color=style.colour, alpha=0.08, linewidth=0)


def _draw_floor(panel: Axes, floors: Sequence[Row], axis: Axis) -> None:
    """A faint line at the mean over the methods at each N; horizontal where there is no N."""
    by_size: dict[int | None, list[float]] = {}
    for row in floors:
        by_size.setdefault(row.N, []).append(axis.scale * row.mean)
    means = {size: fsum(values) / len(values) for size, values in by_size.items()}
    if None in means:
        panel.axhline(means[None], **FAINT_LINE)
        return
    sizes = sorted(size for size in means if size is not None)
    if len(sizes) == 1:
        panel.axhline(means[sizes[0]], **FAINT_LINE)
    elif sizes:
        panel.plot([log2(size) for size in sizes], [means[size] for size in sizes], **FAINT_LINE)


def _horizontal(style: MethodStyle) -> dict[str, Any]:
    return {"color": style.colour, "linestyle": "--", "linewidth": 1.2, "label": style.title}
