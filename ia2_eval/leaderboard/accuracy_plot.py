"""Accuracy against the size N of the training set."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2
from typing import TYPE_CHECKING, Any

from ia2_eval.experiments.cell import Method
from ia2_eval.leaderboard.aggregate import Row
from ia2_eval.leaderboard.style import METHODS
from ia2_eval.leaderboard.table import eval_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DODGE = 0.09  # distance between methods at the same N, in doublings of N
PANELS_PER_LINE = 3


def accuracy_figure(rows: Sequence[Row], title: str) -> Figure:
    """One panel per (source, eval), a line per method with 95 % intervals; `no_icl`, which has no N, is horizontal.

    Args:
        rows: headline accuracy rows of one section, at least one.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    pairs = list(dict.fromkeys((row.source, row.eval) for row in rows))
    methods: list[Method] = [method for method in METHODS if any(row.method == method for row in rows)]
    lines = ceil(len(pairs) / PANELS_PER_LINE)
    columns = ceil(len(pairs) / lines)
    figure = Figure(figsize=(max(5.2, 3.6 * columns), 3.1 * lines + 0.9), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for panel in axes.flat[len(pairs) :]:
        panel.set_axis_off()
    for panel, (source, benchmark) in zip(axes.flat, pairs, strict=False):
        here = [row for row in rows if (row.source, row.eval) == (source, benchmark)]
        _draw_panel(panel, here, methods)
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
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), columnspacing=1.2, handletextpad=0.5)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_panel(panel: Any, rows: Sequence[Row], methods: Sequence[Method]) -> None:
    sizes = sorted({row.N for row in rows if row.N is not None})
    with_size: list[Method] = [method for method in methods if method != "no_icl"]
    for method in methods:
        of_method = sorted((row for row in rows if row.method == method), key=lambda row: row.N or 0)
        if not of_method:
            continue
        style = METHODS[method]
        if method == "no_icl":
            row = of_method[0]
            panel.axhline(100 * row.mean, color=style.colour, linestyle="--", linewidth=1.2, label=style.title)
            if row.ci_low is not None and row.ci_high is not None:
                panel.axhspan(100 * row.ci_low, 100 * row.ci_high, color=style.colour, alpha=0.08, linewidth=0)
            continue
        offset = DODGE * (with_size.index(method) - (len(with_size) - 1) / 2)
        by_size = {row.N: row for row in of_method}
        there = [by_size.get(size) for size in sizes]
        panel.errorbar(
            [log2(size) + offset for size in sizes],
            [100 * row.mean if row else float("nan") for row in there],
            yerr=[[_reach(row, side) for row in there] for side in ("ci_low", "ci_high")],
            color=style.colour,
            marker=style.marker,
            markersize=5,
            linewidth=1.4,
            elinewidth=1,
            capsize=2.5,
            label=style.title,
        )
    panel.set_xticks([log2(size) for size in sizes], [str(size) for size in sizes])
    if sizes:
        panel.set_xlim(log2(sizes[0]) - 0.4, log2(sizes[-1]) + 0.4)
    panel.set_xlabel("N (training examples)")
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, -3), min(high, 103))
    panel.grid(axis="y")


def _reach(row: Row | None, side: str) -> float:
    """Length of an error bar in per cent; 0 where there is no interval."""
    bound = getattr(row, side) if row else None
    return 0.0 if row is None or bound is None else 100 * abs(bound - row.mean)
