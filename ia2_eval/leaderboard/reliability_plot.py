"""Reliability diagrams: accuracy against confidence, bin by bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.groups import Group, evaluation_on
from ia2_eval.leaderboard.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.read import Sample, read_samples
from ia2_eval.leaderboard.style import Column, MethodStyle
from ia2_eval.scoring.calibration import Bin, expected_calibration_error, reliability_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """A line of panels per N, a panel per method; below each diagram the number of samples per bin.

    Args:
        diagrams: by N and column; a pair that is absent is marked as missing.
        sizes: the N of the lines.
        styles: of the columns.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * len(styles) + 0.7, 3.5 * len(sizes) + 0.5), layout="constrained")
    axes = figure.subplots(
        2 * len(sizes), len(styles), squeeze=False, sharex=True, gridspec_kw={"height_ratios": [3.6, 1] * len(sizes)}
    )
    for line, size in enumerate(sizes):
        for i, (column, style) in enumerate(styles.items()):
            diagram, histogram = axes[2 * line, i], axes[2 * line + 1, i]
            _draw_panel(diagram, histogram, style.title, style.colour, diagrams.get((size, column)))
            if i:
                diagram.tick_params(labelleft=False)
        axes[2 * line, 0].set_ylabel("accuracy" if size is None else f"N = {size}\naccuracy")
        axes[2 * line + 1, 0].set_ylabel("samples")
    explained = "hatched: gap between accuracy and mean confidence; ECE of the samples of all seeds together"
    figure.supxlabel(f"confidence (label-normalised); {explained}", fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw_panel(diagram: Any, histogram: Any, method: str, colour: str, reliability: Reliability | None) -> None:
    """Bars of accuracy per non-empty bin, the gap to the bin's mean confidence hatched, and counts below."""
    diagram.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    diagram.set_xticklabels(("0", "0.5", "1"))
    diagram.set_yticklabels(("0", "0.5", "1"))
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
