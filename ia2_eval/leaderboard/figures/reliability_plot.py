"""Reliability diagrams: accuracy against confidence, bin by bin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from math import ceil, fsum
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ia2_eval.leaderboard.results.reliability import Reliability
from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.scoring.calibration import Bin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS_PER_LINE = 5
LETTERS = 30  # of 10 points, beside one another in the width of a panel
NARROW = 0.03  # a narrower bar has no room for a gap: a point stands at its mean confidence and accuracy
EXPLAINED = "hatched: gap between accuracy and mean confidence; ECE of the samples of all seeds together"


def reliability_figure(
    diagrams: Mapping[tuple[int | None, Column], Reliability],
    sizes: Sequence[int | None],
    styles: Mapping[Column, MethodStyle],
    title: str,
    confidence: str,
) -> Figure:
    """Panels of each N, one per method, at most `PANELS_PER_LINE` in a line; below each the number of samples per bin.

    Args:
        diagrams: by N and column; a pair that is absent is marked as missing.
        sizes: the N, from top to bottom.
        styles: of the columns.
        title: of the figure.
        confidence: what the horizontal axis is.
    """
    from matplotlib.figure import Figure

    per_size = ceil(len(styles) / PANELS_PER_LINE)
    columns = ceil(len(styles) / per_size)
    lines = per_size * len(sizes)
    title = fill(title, LETTERS * columns)
    explained = "\n".join(fill(text, LETTERS * columns) for text in (confidence, EXPLAINED))
    height = (3.8 if any(shown.n < shown.samples for shown in diagrams.values()) else 3.6) * lines
    height += 0.3 + 0.2 * (title.count("\n") + explained.count("\n") + 1)
    figure = Figure(figsize=(2.3 * columns + 0.7, height), layout="constrained")
    axes = figure.subplots(
        2 * lines, columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": [3.6, 1] * lines}
    )
    for i, size in enumerate(sizes):
        band = axes[2 * per_size * i : 2 * per_size * (i + 1)]
        panels = list(zip(band[::2].flat, band[1::2].flat, strict=True))
        for (column, style), (diagram, histogram) in zip(styles.items(), panels, strict=False):
            _draw_panel(diagram, histogram, style.title, style.colour, diagrams.get((size, column)))
            diagram.tick_params(labelleft=diagram in axes[:, 0])
            histogram.tick_params(labelbottom=True)
        for panel in chain(*panels[len(styles) :]):
            panel.set_axis_off()
        for diagram, histogram in band[:, 0].reshape(-1, 2):
            diagram.set_ylabel("accuracy" if size is None else f"N = {size}\naccuracy")
            histogram.set_ylabel("samples")
    figure.supxlabel(explained, fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_panel(diagram: Any, histogram: Any, method: str, colour: str, reliability: Reliability | None) -> None:
    """Bars of accuracy per non-empty bin, the gap to the bin's mean confidence hatched, and counts below."""
    diagram.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    diagram.set_xticklabels(("0", "0.5", "1"))
    diagram.set_yticklabels(("0", "0.5", "1"))
    method = fill(method, LETTERS - 6)
    diagram.plot((0, 1), (0, 1), color="#555555", linewidth=0.8, linestyle="--")
    if reliability is None:
        diagram.set_title(f"{method}\nmissing")
        histogram.set_yticks(())
        return
    pooled = f" ({reliability.seeds} seeds)" if reliability.seeds > 1 else ""
    if reliability.n == reliability.samples:
        diagram.set_title(f"{method}\nECE {reliability.ece:.2f} · n {reliability.n}{pooled}")
    else:
        ece = "no ECE" if reliability.ece is None else f"ECE {reliability.ece:.2f}"
        diagram.set_title(f"{method}\n{ece}\nn {reliability.n} of {reliability.samples}{pooled}")
    bars = [*_bars(reliability.bins)]
    for left, right, count, confidence, accuracy in bars:
        bar = {"x": left, "width": right - left, "align": "edge", "linewidth": 0.5}
        if right - left < NARROW:
            diagram.bar(**bar, height=accuracy, color=colour, alpha=0.8, edgecolor=colour)
            diagram.plot(
                confidence, accuracy, "o", color=colour, markersize=3.5, markeredgecolor="black", clip_on=False
            )
            histogram.bar(**bar | {"linewidth": 1.2}, height=count, color="#999999", edgecolor="#999999", clip_on=False)
            continue
        gap = {"height": confidence - accuracy, "bottom": accuracy}
        diagram.bar(**bar, height=accuracy, color=colour, alpha=0.8, edgecolor="white")
        diagram.bar(**bar, **gap, facecolor="none", edgecolor="#555555", hatch="////")
        histogram.bar(**bar, height=count, color="#999999", edgecolor="white")
    most = max((count for _, _, count, *_ in bars), default=1)
    histogram.set(ylim=(0, most), yticks=(0, most) if bars else ())


def _bars(bins: Iterable[Bin]) -> Iterator[tuple[float, float, int, float, float]]:
    """Left, right, count, mean confidence and accuracy of the bars. An empty bin has none.

    Equal-mass bins of one and the same confidence are one bar: which of them an example is in was chance.
    """
    for (left, right), alike in groupby((bin_ for bin_ in bins if bin_.count), lambda bin_: (bin_.lower, bin_.upper)):
        members = [*alike]
        count = sum(bin_.count for bin_ in members)
        correct = fsum(bin_.count * (bin_.accuracy or 0.0) for bin_ in members)
        confidence = fsum(bin_.count * (bin_.confidence or 0.0) for bin_ in members)
        yield left, right, count, confidence / count, correct / count
