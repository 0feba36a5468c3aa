"""The figure of a comparison: a measure against the number N of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, log2
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.style import MethodStyle, method_styles
from ia2_eval.mtbench.comparison.recipe import METHODS, WITHOUT_EXAMPLES
from ia2_eval.mtbench.comparison.rows import LIKELIHOOD, SCORE, TURNS, Row
from ia2_eval.mtbench.comparison.run import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DODGE = 0.1  # between methods at the same N, in doublings of N
WIDEST = 0.6  # from the first to the last method at the same N
NO_RESULT = "no result (skipped or failed)"
LINES: Mapping[str, str] = {"no_icl": "--", "instruction": ":"}


class Panel(NamedTuple):
    measure: str
    turn: int
    title: str
    axis: str


def comparison_figure(rows: Sequence[Row], outcomes: Sequence[Outcome], judge: str | None, title: str) -> Figure:
    """A panel for each turn, and one for the likelihood of held-out answers where it is known.

    A line for each method with 95 % intervals, dots for its seeds; methods without examples are horizontal. A cross at
    the bottom marks an N without result.

    Args:
        rows: of `result_rows`.
        outcomes: of all arms.
        judge: its name; None to show how repetitive answers are instead of scores.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    panels = [panel for panel in _panels(judge) if any(row[3:5] == panel[:2] for row in rows)]
    found = method_styles({outcome.arm.method for outcome in outcomes})
    styles = {method: found[method] for method in METHODS if method in found}
    figure = Figure(figsize=(max(5.2, 3.6 * len(panels)), 4.1), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel, [row for row in rows if row[3:5] == panel[:2]], outcomes, styles)
    turns = [axis for axis, panel in zip(axes, panels, strict=True) if panel.measure != LIKELIHOOD]
    for axis in turns[1:]:
        axis.sharey(turns[0])
    for axis in turns:
        axis.autoscale(axis="y")
    handles: dict[str, Any] = {}
    for axis in axes:
        handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if (cross := handles.pop(NO_RESULT, None)) is not None:
        handles[NO_RESULT] = cross  # last
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 2 * len(panels) + 1))
    figure.suptitle(title, fontsize=10)
    return figure


def _panels(judge: str | None) -> list[Panel]:
    measured = [
        Panel(SCORE, turn, f"Turn {turn}", f"score by {judge}")
        if judge is not None
        else Panel("repetition", turn, f"Turn {turn}", "repetition rate (less is better)")
        for turn in TURNS
    ]
    likelihood = Panel(LIKELIHOOD, 1, "Held-out answers, turn 1", "log-likelihood (nats per token)")
    return [*measured, likelihood] if judge is not None else [likelihood, *measured]


def _draw(
    axis: Any,
    panel: Panel,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    styles: Mapping[str, MethodStyle],
) -> None:
    sizes = sorted({outcome.arm.n for outcome in outcomes if outcome.arm.n is not None})
    with_size = [method for method in styles if method not in WITHOUT_EXAMPLES]
    dodge = min(DODGE, WIDEST / max(1, len(with_size)))
    for method, style in styles.items():
        own = [row for row in rows if row.method == method]
        whole = {row.n: row for row in own if row.seed is None}
        if method in WITHOUT_EXAMPLES:
            if None in whole:
                _horizontal(axis, whole[None], style, LINES[method])
            continue
        offset = dodge * (with_size.index(method) - (len(with_size) - 1) / 2)
        there = [whole.get(size) for size in sizes]
        axis.errorbar(
            [log2(size) + offset for size in sizes],
            [row.estimate.value if row else float("nan") for row in there],
            yerr=[[_reach(row, sign) for row in there] for sign in (-1, 1)],
            **style.errorbar,
        )
        seeds = [row for row in own if row.seed is not None and whole[row.n].seeds > 1]
        axis.scatter(
            [log2(row.n or 1) + offset for row in seeds],
            [row.estimate.value for row in seeds],
            s=7,
            color=style.colour,
            alpha=0.5,
            linewidths=0,
        )
        missing = [size for size, row in zip(sizes, there, strict=True) if row is None]
        if missing:
            axis.scatter(
                [log2(size) + offset for size in missing],
                [0.025] * len(missing),
                marker="x",
                s=28,
                color=style.colour,
                transform=axis.get_xaxis_transform(),
                label=NO_RESULT,
            )
    axis.set_title(panel.title)
    axis.set_ylabel(panel.axis)
    axis.set_xlabel("N (examples)")
    if sizes:
        axis.set_xticks([log2(size) for size in sizes], [str(size) for size in sizes])
        axis.set_xlim(log2(sizes[0]) - 0.5, log2(sizes[-1]) + 0.5)
    axis.margins(y=0.1)
    axis.grid(axis="y")


def _horizontal(axis: Any, row: Row, style: MethodStyle, line: str) -> None:
    value, lower, upper = row.estimate[:3]
    axis.axhline(value, color=style.colour, linestyle=line, linewidth=1.2, label=style.title)
    if not isnan(lower):
        axis.axhspan(lower, upper, color=style.colour, alpha=0.08, linewidth=0)


def _reach(row: Row | None, sign: int) -> float:
    """How far the interval goes below (-1) or above (1) the value."""
    if row is None or isnan(row.estimate.lower):
        return 0.0
    bound = row.estimate.lower if sign < 0 else row.estimate.upper
    return max(0.0, sign * (bound - row.estimate.value))
