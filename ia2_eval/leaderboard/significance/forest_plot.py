"""Differences with their intervals, one under the other."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.significance.comparison import Comparison, Metric
from ia2_eval.leaderboard.significance.evidence import LEVEL
from ia2_eval.leaderboard.style import FAINT_LINE, GRID, MethodStyle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.2  # inches
TOP, BOTTOM, RIGHT = 0.3, 0.95, 0.15
LETTER = 0.084  # of 10 points, on the average
PANEL, GAP = 3.0, 0.25
NAMES = {"acc": "accuracy (percentage points)", "ECE": "ECE"}
POOLED = {"own": "own sets", "ood": "OOD sets"}
EXPLAINED = "95 % intervals, not corrected; filled: p (Holm) < 0.05; diamonds: over datasets"
CUT = "; arrows: the interval goes on"


def forest_figure(comparisons: Sequence[Comparison], style: MethodStyle) -> Figure:
    """One row per place, then per pooled scope; a panel per metric.

    Args:
        comparisons: of one pair of columns in one section.
        style: of the method.
    """
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(map(_label, sorted(comparisons, key=lambda c: c.scope != "place"))))
    metrics: list[Metric] = [metric for metric in ("acc", "ECE") if any(c.metric == metric for c in comparisons)]
    left = LETTER * max(map(len, labels)) + 0.25
    width = left + PANEL * len(metrics) + GAP * (len(metrics) - 1) + RIGHT
    title = "\n".join(
        fill(line, int(width / LETTER)) for line in (comparisons[0].pair_title, comparisons[0].section.title)
    )
    top = TOP + ROW * (title.count("\n") + 1)
    height = ROW * len(labels) + top + BOTTOM
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    figure.subplots_adjust(
        left=left / width,
        right=1 - RIGHT / width,
        top=1 - top / height,
        bottom=BOTTOM / height,
        wspace=GAP / PANEL,
    )
    cut = False
    for panel, metric in zip(axes, metrics, strict=True):
        of_metric = [comparison for comparison in comparisons if comparison.metric == metric]
        cut |= _draw_panel(panel, of_metric, labels, style, metric)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    figure.text(0.1 / width, 1 - 0.12 / height, title, va="top")
    figure.text(
        0.1 / width, 0.1 / height, fill(EXPLAINED + CUT * cut, int(1.25 * width / LETTER)), va="bottom", fontsize=8
    )
    return figure


def _label(comparison: Comparison) -> str:
    size = "all N" if comparison.scope == "all" else "" if comparison.n is None else f"N={comparison.n}"
    if comparison.scope != "place":
        return f"{POOLED[comparison.sets]}  {size}"
    to = "" if comparison.sets == "own" else f" → {get_benchmark(comparison.eval).title}"
    return f"{get_benchmark(comparison.source).title}{to}  {size}".rstrip()


def _draw_panel(
    panel: Any, comparisons: Sequence[Comparison], labels: Sequence[str], style: MethodStyle, metric: Metric
) -> bool:
    """Whether an interval is longer than the panel; it ends in an arrow head there."""
    from matplotlib.markers import CARETLEFT, CARETRIGHT

    scale = 100.0 if metric == "acc" else 1.0
    panel.axvline(0, **FAINT_LINE)
    ends, intervals = [0.0], []
    for comparison in comparisons:
        y, value = labels.index(_label(comparison)), scale * comparison.difference
        low, high = comparison.interval.ci_low, comparison.interval.ci_high
        if low is not None and high is not None:
            panel.plot((scale * low, scale * high), (y, y), color=style.colour, linewidth=1.4)
            ends += [scale * low, scale * high]
            intervals.append((y, scale * low, scale * high))
        p = comparison.primary_p_holm
        filled = style.colour if p is not None and p < LEVEL else "white"
        marker = "o" if comparison.scope == "place" else "D"
        panel.plot([value], [y], marker=marker, markersize=5, color=style.colour, markerfacecolor=filled)
        ends.append(value)
    least, greatest = max(min(ends), -scale), min(max(ends), scale)
    padding = 0.06 * (greatest - least) or scale
    left, right = panel.set_xlim(least - padding, greatest + padding)
    heads = [(left, y, CARETLEFT) for y, low, _ in intervals if low < left]
    heads += [(right, y, CARETRIGHT) for y, _, high in intervals if high > right]
    for x, y, head in heads:
        panel.plot([x], [y], marker=head, markersize=6, color=style.colour, clip_on=False)
    pooled = [i for i, label in enumerate(labels) if label.startswith(tuple(POOLED.values()))]
    if pooled and pooled[0]:
        panel.axhline(pooled[0] - 0.5, linewidth=0.6, color=GRID)
    panel.grid(axis="x")
    panel.tick_params(axis="y", length=0)
    better = "right" if metric == "acc" else "left"
    panel.set_xlabel(f"difference in {NAMES[metric]}\n{better} of 0: {style.title} is better")
    return bool(heads)
