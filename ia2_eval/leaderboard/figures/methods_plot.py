"""The methods beside one another, accuracy and calibration error side by side: what is there, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, fsum
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.figures.grid import LETTERS, LINE, Layout, panel_grid
from ia2_eval.leaderboard.figures.metric_plot import ACCURACY, CALIBRATION, Axis, limits, pair_title, reach
from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.style import FAINT, FAINT_LINE, Column, MethodStyle
from ia2_eval.leaderboard.tables.table import MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME_LETTERS = 22  # in a line of a method's name
POINT = 0.085  # inches from the point of one N to that of the next
BETWEEN = 0.12  # inches from the points of one method to those of the next
LEAST_HEIGHT = 0.5  # of a panel, in inches
SLOTS = 0.7  # of the room of a method, for its points


class Panel(NamedTuple):
    """What is shown of one source and evaluation set."""

    source: str
    eval: str
    expected: Mapping[Column, Sequence[int | None]]  # N of each method, ascending; None for one that has no N
    accuracy: Mapping[tuple[Column, int | None], Row]
    calibration: Mapping[tuple[Column, int | None], Row]
    floors: Sequence[Row] = ()  # noise floors of the calibration errors

    @property
    def sizes(self) -> list[int]:
        return sorted({size for sizes in self.expected.values() for size in sizes if size is not None})

    @property
    def title(self) -> str:
        sizes = f" · N = {', '.join(map(str, self.sizes))}" if self.sizes else ""
        return pair_title(self.source, self.eval) + sizes


def methods_figure(panels: Sequence[Panel], styles: Mapping[Column, MethodStyle], title: str) -> Figure:
    """A line for each method: mean and 95 % interval of each N, the least on top.

    A hollow point lacks cells; where there is no point, it says so. Dotted: what guessing among the labels gives, and
    the ECE of perfect calibration, the mean over what is shown.

    Args:
        panels: at least one.
        styles: of the methods, in table order.
        title: of the figure.
    """
    names = {column: fill(style.title, NAME_LETTERS) for column, style in styles.items()}
    most = max(len(sizes) for panel in panels for sizes in panel.expected.values())
    letters = max(len(line) for name in names.values() for line in name.splitlines())
    of_method = max(POINT * most + BETWEEN, LINE * max(name.count("\n") + 1 for name in names.values()) + 0.02)
    metrics = [ACCURACY, CALIBRATION] if any(panel.calibration for panel in panels) else [ACCURACY]
    per_line = 1 if len(panels) == 1 else 2
    lines = ceil(len(panels) / per_line)
    layout = Layout(width=2.3, height=max(LEAST_HEIGHT, of_method * len(names)), left=letters / LETTERS + 0.2, gap=0.32)
    figure, axes = panel_grid(lines, per_line * len(metrics), layout, title, {}, _remarks(panels))
    places = axes.reshape(-1, len(metrics))
    for unused in places[len(panels) :].flat:
        unused.set_axis_off()
    for shown, pair in zip(panels, places, strict=False):
        for axis, panel in zip(metrics, pair, strict=True):
            _draw_panel(panel, shown, axis, styles)
        pair[0].set_title(shown.title, loc="left")
    for panel in axes.flat:
        panel.set_yticks(range(len(names)), list(names.values()))
        panel.tick_params("y", length=0, labelleft=panel in axes[:, 0])
        panel.set_ylim(len(names) - 0.5, -0.5)
    return figure


def _remarks(panels: Sequence[Panel]) -> list[str]:
    said = []
    if any(len(panel.sizes) > 1 for panel in panels):
        said.append("N from top to bottom")
    rows = [row for panel in panels for of_metric in (panel.accuracy, panel.calibration) for row in of_metric.values()]
    if not all(row.complete for row in rows):
        said.append("hollow: cells are missing")
    dotted = ["guessing among the labels"] if any(get_benchmark(panel.eval).labels for panel in panels) else []
    dotted += ["noise floor of the ECE"] if any(panel.floors for panel in panels) else []
    if dotted:
        said.append(f"dotted: {', '.join(dotted)}")
    return ["; ".join(said)] if said else []


def _draw_panel(panel: Axes, shown: Panel, axis: Axis, styles: Mapping[Column, MethodStyle]) -> None:
    of_metric = shown.accuracy if axis is ACCURACY else shown.calibration
    for at, (column, style) in enumerate(styles.items()):
        sizes = shown.expected.get(column, ())
        rows = [of_metric.get((column, size)) for size in sizes]
        places = [at + SLOTS * ((i + 0.5) / len(sizes) - 0.5) for i in range(len(sizes))]
        if not any(rows):
            _say(panel, at, _absent(shown, column, sizes) if sizes else "not planned")
            continue
        _draw_method(panel, rows, places, style, axis)
        gaps: dict[str, list[tuple[float, str]]] = {}
        for place, size, row in zip(places, sizes, rows, strict=True):
            if row is None:
                gaps.setdefault(_absent(shown, column, [size]), []).append((place, str(size)))
        for reason, of_reason in gaps.items():
            middle = fsum(place for place, _ in of_reason) / len(of_reason)
            _say(panel, middle, f"N = {', '.join(size for _, size in of_reason)} {reason}")
    _draw_reference(panel, shown, axis)
    low, high = panel.dataLim.intervalx
    panel.set_xlim(limits(float(low), float(high), axis) if of_metric else (0, axis.scale))
    panel.set_xlabel(axis.name)
    panel.grid(axis="x")


def _draw_method(
    panel: Axes, rows: Sequence[Row | None], places: Sequence[float], style: MethodStyle, axis: Axis
) -> None:
    """Intervals, a thin line through the means, and a point on each: a hollow one hides what is behind it."""
    means = [axis.scale * row.mean if row else float("nan") for row in rows]
    error = [[reach(row, sign, axis) for row in rows] for sign in (-1, 1)]
    points = {**style.curve, "linewidth": 0.6, "markersize": 4.5, "label": None}
    panel.errorbar(means, places, xerr=error, **points, elinewidth=1)
    partial = [(mean, place) for mean, place, row in zip(means, places, rows, strict=True) if row and not row.complete]
    if partial:
        panel.plot(
            *zip(*partial, strict=True), **points | {"linestyle": "none", "markerfacecolor": "white", "zorder": 3}
        )


def _draw_reference(panel: Axes, shown: Panel, axis: Axis) -> None:
    labels = get_benchmark(shown.eval).labels
    if axis is ACCURACY and labels:
        panel.axvline(axis.scale / len(labels), **FAINT_LINE)
    elif axis is CALIBRATION and shown.floors:
        panel.axvline(fsum(row.mean for row in shown.floors) / len(shown.floors), **FAINT_LINE)


def _absent(shown: Panel, column: Column, sizes: Sequence[int | None]) -> str:
    """Why there is no point: the cells are missing, or their records lack the metric."""
    return "no ECE" if any((column, size) in shown.accuracy for size in sizes) else MISSING


def _say(panel: Axes, place: float, text: str) -> None:
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    looks: dict[str, Any] = {"fontsize": 7, "color": FAINT, "ha": "left", "va": "center", "bbox": behind}
    panel.text(0.02, place, text, transform=panel.get_yaxis_transform(), **looks)
