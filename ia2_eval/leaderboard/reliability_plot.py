"""Reliability diagrams: accuracy against confidence, bin by bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.groups import Group, evaluation_on
from ia2_eval.leaderboard.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.read import Sample, read_samples
from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.scoring.calibration import Bin, expected_calibration_error, reliability_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS_PER_LINE = 5
LETTERS = 30  # of 10 points, beside one another in the width of a panel
EXPLAINED = (
    "confidence (label-normalised)",
    "hatched: gap between accuracy and mean confidence; ECE of the samples of all seeds together",
)


@dataclass(frozen=True)
class Reliability:
    """Samples of one group on one benchmark, pooled over the seeds at the reported learning rate."""

    bins: tuple[Bin, ...]
    ece: float  # of the pooled samples, so not the mean over seeds that the table shows
    seeds: int

    @property
    def n(self) -> int:
        return sum(bin_.count for bin_ in self.bins)


def pool(run_directory: Path, group: Group, benchmark: str) -> tuple[Reliability | None, list[str]]:
    """Reliability of a group at its headline learning rate, and faults of the sample files that cannot be used.

    None where there is no sample.
    """
    chosen = chosen_candidates(group, benchmark)
    selection = headline_selection(group.protocol, group.trained)
    samples: list[Sample] = []
    faults, seeds = [], 0
    for record in group.at(chosen[selection]) if selection in chosen else ():
        evaluation = evaluation_on(record, benchmark)
        if evaluation is None:
            continue
        try:
            samples += read_samples(run_directory, evaluation)
            seeds += 1
        except UserError as error:
            faults.append(str(error))
    if not samples:
        return None, faults
    confidence, correct = zip(*((sample.confidence, sample.correct) for sample in samples), strict=True)
    bins = tuple(reliability_bins(confidence, correct))
    return Reliability(bins, expected_calibration_error(confidence, correct), seeds), faults


def reliability_figure(
    diagrams: Mapping[tuple[int | None, Column], Reliability],
    sizes: Sequence[int | None],
    styles: Mapping[Column, MethodStyle],
    title: str,
) -> Figure:
    """Panels of each N, one per method, at most `PANELS_PER_LINE` in a line; below each the number of samples per bin.

    Args:
        diagrams: by N and column; a pair that is absent is marked as missing.
        sizes: the N, from top to bottom.
        styles: of the columns.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    per_size = ceil(len(styles) / PANELS_PER_LINE)
    columns = ceil(len(styles) / per_size)
    lines = per_size * len(sizes)
    figure = Figure(figsize=(2.3 * columns + 0.7, 3.6 * lines + 0.7), layout="constrained")
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
    figure.supxlabel("\n".join(fill(text, LETTERS * columns) for text in EXPLAINED), fontsize=10)
    figure.suptitle(fill(title, LETTERS * columns), fontsize=10)
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
    for bin_ in reliability.bins:
        if bin_.accuracy is None or bin_.confidence is None:  # empty
            continue
        gap = bin_.confidence - bin_.accuracy
        bar = {"x": bin_.lower, "width": bin_.upper - bin_.lower, "align": "edge", "linewidth": 0.5}
        diagram.bar(**bar, height=bin_.accuracy, color=colour, alpha=0.8, edgecolor="white")
        diagram.bar(**bar, height=gap, bottom=bin_.accuracy, facecolor="none", edgecolor="#555555", hatch="////")
        histogram.bar(**bar, height=bin_.count, color="#999999", edgecolor="white")
    most = max(bin_.count for bin_ in reliability.bins)
    histogram.set(ylim=(0, most), yticks=(0, most))
    pooled = f" ({reliability.seeds} seeds)" if reliability.seeds > 1 else ""
    diagram.set_title(f"{method}\nECE {reliability.ece:.2f} · n {reliability.n}{pooled}")
