"""A figure of a search: the candidates of each round, and what the winners are worth on the held-out set."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from ia2_eval.leaderboard.style import BLUE, FAINTER, VERMILION
from ia2_eval.mtbench.search.result import Gain, RoundResult, SearchResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEV, HELD_OUT, OTHERS = VERMILION, BLUE, FAINTER
PANELS_PER_LINE = 3
DODGE = 0.08


def search_figure(result: SearchResult) -> Figure:
    """A panel per round, candidates from the best to the worst, and one of gains on both sets.

    All gains are over the starting set and paired by item. A candidate that dropped out early is hollow: its gain is
    that on the items it was scored on.
    """
    from matplotlib.figure import Figure

    panels = len(result.rounds) + 1
    lines = ceil(panels / PANELS_PER_LINE)
    columns = ceil(panels / lines)
    figure = Figure(figsize=(max(5.2, 3.7 * columns), 3.2 * lines + 0.8), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for panel in axes.flat[panels:]:
        panel.set_axis_off()
    for panel, found, before in zip(axes.flat, result.rounds, (None, *result.rounds), strict=False):
        _draw_round(panel, found, before, result.dev_items)
    low = min(panel.get_ylim()[0] for panel in axes.flat[: panels - 1])
    high = max(panel.get_ylim()[1] for panel in axes.flat[: panels - 1])
    for panel in axes.flat[: panels - 1]:
        panel.set_ylim(low, high)
    _draw_gains(axes.flat[panels - 1], result)
    for panel in axes[:, 0]:
        panel.set_ylabel(f"gain ({result.unit})")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    for panel in axes.flat[1:panels]:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), columnspacing=1.2)
    figure.suptitle(f"{result.name}: demonstrations put before {result.start!r}\nbars: 95 % intervals, paired by item")
    return figure


def _draw_round(panel: Any, found: RoundResult, before: RoundResult | None, dev_items: int) -> None:
    shown = [(candidate, candidate.gain) for candidate in found.candidates if candidate.gain is not None]
    shown.sort(key=lambda pair: -pair[1].value)
    for place, (candidate, gain) in enumerate(shown, start=1):
        if candidate.rank == 1:
            continue
        whole = candidate.items == dev_items
        _point(panel, place, gain, OTHERS, "o", "candidate" if whole else "candidate that dropped out early", whole)
    for place, (candidate, gain) in enumerate(shown, start=1):
        if candidate.rank == 1:
            _point(panel, place, gain, DEV, "*", "chosen, on the dev set", True)
    panel.axhline(0, color="black", linewidth=1, label="starting set")
    if before is not None and before.dev_gain is not None:
        panel.axhline(before.dev_gain.value, color=DEV, linewidth=1, linestyle=":", label="chosen in the round before")
    panel.set_title(f"round {found.round}: {found.scored_pairs} of {found.exhaustive_pairs} scores")
    panel.set_xlabel("candidates, by gain on the dev set")
    panel.grid(axis="y")


def _draw_gains(panel: Any, result: SearchResult) -> None:
    for found in result.rounds:
        for side, gain, colour, marker, label in (
            (-DODGE, found.dev_gain, DEV, "*", "chosen, on the dev set"),
            (DODGE, found.held_out_gain, HELD_OUT, "D", "chosen, on the held-out set"),
        ):
            if gain is not None:
                _point(panel, found.round + side, gain, colour, marker, label, True)
    panel.axhline(0, color="black", linewidth=1, label="starting set")
    panel.set_xticks([found.round for found in result.rounds])
    panel.set_xlim(0.5, len(result.rounds) + 0.5)
    panel.set_title("what is left on the held-out set")
    panel.set_xlabel("round")
    panel.grid(axis="y")


def _point(panel: Any, place: float, gain: Gain, colour: str, marker: str, label: str, filled: bool) -> None:
    reach = [[0.0], [0.0]]
    if gain.lower is not None and gain.upper is not None:
        reach = [[max(gain.value - gain.lower, 0)], [max(gain.upper - gain.value, 0)]]
    _, labels = panel.get_legend_handles_labels()
    panel.errorbar(
        [place],
        [gain.value],
        yerr=reach,
        color=colour,
        marker=marker,
        markersize=11 if marker == "*" else 4.5,
        markerfacecolor=colour if filled else "white",
        linestyle="none",
        elinewidth=0.8,
        label=None if label in labels else label,
    )
