"""Accuracy against the size N of the training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log2
from typing import TYPE_CHECKING, Any

from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.leaderboard.tables.table import eval_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DODGE = 0.09  # distance between methods at the same N, in doublings of N
WIDEST = 0.7  # from the first to the last method at the same N, in doublings of N
PANELS_PER_LINE = 3
LEAST_RANGE = 5.0  # of the vertical axis, in per cent: less would show noise as a difference


def accuracy_figure(rows: Sequence[Row], styles: Mapping[Column, MethodStyle], title: str) -> Figure:
    """One panel per (source, eval), a line per method and variant with 95 % intervals; `no_icl`, which has no N, is
    horizontal.

    Args:
        rows: headline accuracy rows of one section, at least one.
        styles: of the columns, in table order.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    pairs = list(dict.fromkeys((row.source, row.eval) for row in rows))
    drawn = {column: style for column, style in styles.items() if any(row.column == column for row in rows)}
    lines = ceil(len(pairs) / PANELS_PER_LINE)
    columns = ceil(len(pairs) / lines)
    width = max(5.2, 3.6 * columns)
    legend_columns = _legend_columns([style.title for style in drawn.values()], width)
    legend_lines = ceil(len(drawn) / legend_columns)
    figure = Figure(figsize=(width, 3.1 * lines + 0.2 * (2 + title.count("\n") + legend_lines)), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for panel in axes.flat[len(pairs) :]:
        panel.set_axis_off()
    for panel, (source, benchmark) in zip(axes.flat, pairs, strict=False):
        here = [row for row in rows if (row.source, row.eval) == (source, benchmark)]
        _draw_panel(panel, here, drawn)
        panel.set_title(
            eval_title(source, source) + ("" if benchmark == source else f" → {eval_title(source, benchmark)}")
        )
    for panel in axes[:, 0]:
        panel.set_ylabel("accuracy (%)")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    for panel in axes.flat[1 : len(pairs)]:  # a method may be absent from the first panel
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(
        handles, labels, loc="outside lower center", ncols=legend_columns, columnspacing=1.2, handletextpad=0.5
    )
    figure.suptitle(title, fontsize=10)
    return figure


def _legend_columns(titles: Sequence[str], width: float) -> int:
    """All in one line where a figure of this width (inches) has room for it, else as many as the longest title lets."""
    widths = [0.55 + 0.085 * len(title) for title in titles]  # handle, gaps, and a character of 10 points
    return len(titles) if sum(widths) <= width else max(1, int(width / max(widths)))


def _draw_panel(panel: Any, rows: Sequence[Row], styles: Mapping[Column, MethodStyle]) -> None:
    sizes = sorted({row.N for row in rows if row.N is not None})
    with_size = [column for column in styles if column.method != "no_icl"]
    dodge = min(DODGE, WIDEST / max(1, len(with_size)))
    for column, style in styles.items():
        of_column = sorted((row for row in rows if row.column == column), key=lambda row: row.N or 0)
        if not of_column:
            continue
        if column.method == "no_icl":
            row = of_column[0]
            panel.axhline(100 * row.mean, color=style.colour, linestyle="--", linewidth=1.2, label=style.title)
            if row.interval is not None:
                low, high = (100 * row.mean + sign * _reach(row, sign) for sign in (-1, 1))
                panel.axhspan(low, high, color=style.colour, alpha=0.08, linewidth=0)
            continue
        offset = dodge * (with_size.index(column) - (len(with_size) - 1) / 2)
        by_size = {row.N: row for row in of_column}
        there = [by_size.get(size) for size in sizes]
        panel.errorbar(
            [log2(size) + offset for size in sizes],
            [100 * row.mean if row else float("nan") for row in there],
            yerr=[[_reach(row, sign) for row in there] for sign in (-1, 1)],
            **style.errorbar,
        )
    panel.set_xticks([log2(size) for size in sizes], [str(size) for size in sizes])
    if sizes:
        panel.set_xlim(log2(sizes[0]) - 0.4, log2(sizes[-1]) + 0.4)
    panel.set_xlabel("N (training examples)")
    panel.set_ylim(_limits(*panel.dataLim.intervaly))
    panel.grid(axis="y")


def _limits(low: float, high: float) -> tuple[float, float]:
    """Of an axis that shows the accuracies from `low` to `high`, in per cent: beyond 0 and 100 it has padding only."""
    span = max(high - low, LEAST_RANGE)
    low = min(max((low + high - span) / 2, 0.0), 100.0 - span)
    padding = min(0.05 * span, 3.0)
    return low - padding, low + span + padding


def _reach(row: Row | None, sign: int) -> float:
    """How far the interval, cut to what an accuracy can be, goes below (-1) or above (1) the mean, in per cent."""
    bound = None if row is None else row.ci_low if sign < 0 else row.ci_high
    if row is None or bound is None:
        return 0.0
    return max(0.0, 100 * sign * (min(max(bound, 0.0), 1.0) - row.mean))
