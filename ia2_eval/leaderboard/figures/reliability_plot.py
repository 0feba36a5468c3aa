"""Reliability diagrams: accuracy against confidence, bin by bin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.figures.grid import LETTERS, LINE
from ia2_eval.leaderboard.results.reliability import Reliability, bars_of
from ia2_eval.leaderboard.style import FAINTER, STRONG, Column, MethodStyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS_PER_LINE = 5
NARROW = 0.03  # a narrower bar has no room for a gap: a point stands at its mean confidence and accuracy
EXPLAINED = "hatched: gap between accuracy and mean confidence; ECE of the samples of all seeds together"

# In inches.
SIDE = 1.75  # of a diagram
PITCH = 2.3  # from a diagram to the one beside it
LEFT, RIGHT, EDGE = 0.85, 0.4, 0.12
COUNTS = 0.45  # height of the counts below a diagram
BELOW = 0.22  # from a diagram to its counts
AFTER = 0.34  # from the counts to the next title: room for numbers
TICK = 0.05

HALVES = (0.0, 0.5, 1.0)
HALVES_NAMED = {0.0: "0", 0.5: "0.5", 1.0: "1"}
SIDEWAYS: dict[str, Any] = {"rotation": "vertical", "ha": "left", "va": "center", "multialignment": "center"}


def reliability_figure(
    diagrams: Mapping[tuple[int | None, Column], Reliability],
    sizes: Sequence[int | None],
    styles: Mapping[Column, MethodStyle],
    title: str,
    confidence: str,
) -> Figure:
    """Panels of each N, one per method, at most `PANELS_PER_LINE` in a line; below each the number of samples per bin.

    Everything is drawn into one axes in inches: dozens of axes would take several times as long.

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
    width = LEFT + PITCH * (columns - 1) + SIDE + RIGHT
    letters = int(LETTERS * width)
    title = fill(title, letters)
    explained = "\n".join(fill(text, letters) for text in (confidence, EXPLAINED))
    titles = {
        (size, column): _title(style.title, diagrams.get((size, column)))
        for size in sizes
        for column, style in styles.items()
    }
    heading = LINE * (1 + max(text.count("\n") for text in titles.values()))  # room for the titles of the panels
    pitch = heading + 0.08 + SIDE + BELOW + COUNTS + AFTER
    top = EDGE + LINE * (title.count("\n") + 1) + 0.1
    bottom = LINE * (explained.count("\n") + 1)
    height = top + pitch * per_size * len(sizes) + bottom
    figure = Figure(figsize=(width, height))
    paper = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    paper.set_axis_off()
    for i, size in enumerate(sizes):
        for number, (column, style) in enumerate(styles.items()):
            line, place = divmod(number, columns)
            x = LEFT + PITCH * place
            y = height - top - pitch * (per_size * i + line + 1) + AFTER + COUNTS + BELOW
            _draw_panel(Frame(paper, x, y, SIDE), style.colour, diagrams.get((size, column)), outermost=place == 0)
            paper.text(x + SIDE / 2, y + SIDE + 0.06, titles[size, column], ha="center", va="bottom")
            if place == 0:
                name = "accuracy" if size is None else f"N = {size}\naccuracy"
                paper.text(EDGE, y + SIDE / 2, name, **SIDEWAYS)
                paper.text(EDGE, y - BELOW - COUNTS / 2, "samples", **SIDEWAYS)
    paper.text(width / 2, height - EDGE, title, ha="center", va="top")
    paper.text(width / 2, EDGE / 2, explained, ha="center", va="bottom")
    return figure


def _title(method: str, reliability: Reliability | None) -> str:
    method = fill(method, int(LETTERS * SIDE) + 3)
    if reliability is None:
        return f"{method}\nmissing"
    pooled = f" ({reliability.seeds} seeds)" if reliability.seeds > 1 else ""
    if reliability.n == reliability.samples:
        return f"{method}\nECE {reliability.ece:.2f} · n {reliability.n}{pooled}"
    ece = "no ECE" if reliability.ece is None else f"ECE {reliability.ece:.2f}"
    return f"{method}\n{ece}\nn {reliability.n} of {reliability.samples}{pooled}"


class Frame(NamedTuple):
    """A part of the paper: coordinates from 0 to 1 in it."""

    paper: Axes  # in inches
    x: float
    y: float
    height: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x + SIDE * x, self.y + self.height * y

    def draw_boxes(self, boxes: Iterable[tuple[float, float, float, float]], **looks: Any) -> None:
        """Boxes, each (left, right, bottom, top), as one path: with a hatch, many would take long."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        corners = [
            [self.at(left, low), self.at(right, low), self.at(right, high), self.at(left, high), self.at(left, low)]
            for left, right, low, high in boxes
        ]
        if corners:
            path = Path.make_compound_path(*(Path(box, closed=True) for box in corners))
            self.paper.add_artist(PathPatch(path, **looks))  # the limits are fixed: nothing need be measured

    def draw_axes(self, across: Mapping[float, str], up: Mapping[float, str]) -> None:
        """Lines at the left and at the bottom, with labels by their place."""
        from matplotlib.collections import LineCollection

        lines = [[self.at(0, 1), self.at(0, 0), self.at(1, 0)]]
        for place, label in across.items():
            x, y = self.at(place, 0)
            lines.append([(x, y), (x, y - TICK)])
            if label:
                self.paper.text(x, y - 2 * TICK, label, ha="center", va="top")
        for place, label in up.items():
            x, y = self.at(0, place)
            lines.append([(x, y), (x - TICK, y)])
            if label:
                self.paper.text(x - 2 * TICK, y, label, ha="right", va="center_baseline")
        self.paper.add_collection(LineCollection(lines, color="black", linewidth=0.8), autolim=False)


def _draw_panel(diagram: Frame, colour: str, reliability: Reliability | None, outermost: bool) -> None:
    """Bars of accuracy per non-empty bin, the gap to the bin's mean confidence hatched, and counts below.

    Args:
        diagram: its place.
        colour: of the method.
        reliability: what is shown; None where it is missing.
        outermost: whether it is the first one in its line, which has the numbers of the vertical axis.
    """
    counts = Frame(diagram.paper, diagram.x, diagram.y - BELOW - COUNTS, COUNTS)
    diagram.paper.plot(
        *zip(diagram.at(0, 0), diagram.at(1, 1), strict=True), color=STRONG, linewidth=0.8, linestyle="--"
    )
    diagram.draw_axes(dict.fromkeys(HALVES, ""), HALVES_NAMED if outermost else dict.fromkeys(HALVES, ""))
    bars = [*bars_of(reliability.bins)] if reliability else []
    most = max((bar.samples for bar in bars), default=0)
    counts.draw_axes(HALVES_NAMED, {0: "0", 1: str(most)} if bars else {})
    wide = [bar for bar in bars if bar.right - bar.left >= NARROW]
    narrow = [bar for bar in bars if bar.right - bar.left < NARROW]
    for found, edge, edge_of_counts, width in ((wide, "white", "white", 0.5), (narrow, colour, FAINTER, 1.2)):
        looks = {"facecolor": colour, "edgecolor": edge, "alpha": 0.8, "linewidth": 0.5}
        diagram.draw_boxes([(bar.left, bar.right, 0, bar.accuracy) for bar in found], **looks, label="accuracy")
        looks = {"facecolor": FAINTER, "edgecolor": edge_of_counts, "linewidth": width}
        counts.draw_boxes([(bar.left, bar.right, 0, bar.samples / most) for bar in found], **looks, label="samples")
    gaps = [(bar.left, bar.right, bar.accuracy, bar.confidence) for bar in wide]
    diagram.draw_boxes(gaps, facecolor="none", edgecolor=STRONG, linewidth=0.5, hatch="////", label="gap")
    points = [diagram.at(bar.confidence, bar.accuracy) for bar in narrow]
    if points:
        marks: dict[str, Any] = {"color": colour, "markersize": 3.5, "markeredgecolor": "black", "label": "narrow"}
        diagram.paper.plot(*zip(*points, strict=True), "o", **marks)
