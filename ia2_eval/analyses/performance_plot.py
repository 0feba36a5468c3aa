"""Similarity to in-context learning against accuracy and calibration: figure 3 of arXiv 2509.22621."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ia2_eval.analyses.panels import Place, panels
from ia2_eval.analyses.similarity_rows import RunSimilarity
from ia2_eval.leaderboard.style import Column, MethodStyle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metric = Literal["accuracy", "ece"]
LABELS: dict[Metric, str] = {"accuracy": "accuracy (%)", "ece": "ECE"}
PLAIN = ("acc", "ece")
"""What needs no name beside these."""


def performance_figure(
    runs: Sequence[RunSimilarity], metric: Metric, styles: Mapping[Column, MethodStyle], title: str
) -> Figure:
    """A point for each training run with that very run's score; a panel for each place, of one and the same metric.

    (The published figure gives each run the mean score of the five runs of its setting.)

    Args:
        runs: of one section and one way of comparing, at least one with the metric. `no_icl` is one model, so that its
            points differ in the teacher only.
        metric: what is on the vertical axis.
        styles: by method, in table order.
        title: of the figure.
    """
    scored = [(run, value) for run in runs if (value := getattr(run, metric)) is not None]
    places = sorted({Place(run.source, run.eval, run.N) for run, _ in scored})
    shown = {column: style for column, style in styles.items() if any(run.column == column for run, _ in scored)}
    markers = {column: style._replace(line="") for column, style in shown.items()}
    figure, axes = panels(len(places), title, markers)
    scale = 100 if metric == "accuracy" else 1
    names = {Place(run.source, run.eval, run.N): getattr(run, f"{metric}_metric") for run, _ in scored}
    for panel, place in zip(axes, places, strict=True):
        for column, style in shown.items():
            here = [(r, v) for r, v in scored if (r.source, r.eval, r.N, r.column) == (*place, column)]
            panel.scatter(
                [run.similarity for run, _ in here],
                [scale * value for _, value in here],
                s=24,
                color=style.colour,
                marker=style.marker,
                alpha=0.75,
                linewidth=0,
            )
        panel.set_title(place.title)
        panel.set_xlabel("similarity to ICL")
        panel.grid()
        if place == places[0] or len(set(names.values())) > 1:
            panel.set_ylabel(LABELS[metric] + ("" if names[place] in PLAIN else f": {names[place]}"))
    return figure
