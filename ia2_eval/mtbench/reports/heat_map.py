"""Heat maps: a value in each cell, and its colour."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ia2_eval.leaderboard.style import FAINT, FAINTEST, STRONG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_WIDTH, CELL_HEIGHT = 0.72, 0.3  # inches
LONGEST_UPRIGHT = 10  # characters of a column's name; longer ones are turned
CHARACTER = 0.075  # inches, of a label
NARROWEST = 5.4  # inches; less has no room for title and caption
EMPTY = FAINTEST


class Cell(NamedTuple):
    value: float
    text: str
    bold: bool = False


class Panel(NamedTuple):
    """A table of cells, None where there is nothing."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    row_name: str = ""
    column_name: str = ""


class Scale(NamedTuple):
    """What colours mean."""

    name: str
    least_range: float
    """Of the values from the lightest to the darkest colour: less would show noise as a difference."""
    colours: str
    """Name of a colour map of matplotlib."""


SCORE = Scale("score", 1.0, "viridis")
REPETITION = Scale("repetition rate", 0.1, "magma_r")


def heat_map(panels: Sequence[Sequence[Panel]], scale: Scale, title: str, caption: str) -> Figure:
    """One colour scale for all panels.

    Args:
        panels: lines of panels, all as many; panels of a line have the same rows, those below another the same columns.
        scale: what the colours mean.
        title: one line.
        caption: what must be said of the values; wrapped.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    low, high = _limits(
        [cell.value for line in panels for panel in line for row in panel.cells for cell in row if cell], scale
    )
    colours = ScalarMappable(Normalize(low, high), scale.colours)
    widths = [max(1, len(panel.columns)) for panel in panels[0]]
    heights = [len(line[0].rows) for line in panels]
    labels = CHARACTER * max(len(name) for line in panels for name in line[0].rows)
    width = max(NARROWEST, CELL_WIDTH * sum(widths) + labels + 0.35 * len(widths) + 1.3)
    long_columns = any(len(name) > LONGEST_UPRIGHT for panel in panels[0] for name in panel.columns)
    said = textwrap.fill(caption, int(width * 15))
    titled = textwrap.fill(title, int(width * 11))
    height = CELL_HEIGHT * sum(heights) + len(heights) * (0.75 if long_columns else 0.6)
    height += 0.15 * said.count("\n") + 0.18 * titled.count("\n") + 0.75
    figure = Figure(figsize=(width, max(height, 2.4)), layout="constrained")
    grid = figure.subplots(len(heights), len(widths), squeeze=False, width_ratios=widths, height_ratios=heights)
    for line, axes in zip(panels, grid, strict=True):
        for i, (panel, ax) in enumerate(zip(line, axes, strict=True)):
            _draw(ax, panel, colours, names_rows=i == 0, turned=long_columns)
    bar = figure.colorbar(colours, ax=grid, fraction=0.05, pad=0.02, aspect=25)
    bar.set_label(scale.name)
    bar.outline.set_visible(False)
    figure.suptitle(titled, fontsize=10)
    figure.supxlabel(said, fontsize=8, color=STRONG)
    return figure


def _draw(ax: Any, panel: Panel, colours: Any, names_rows: bool, turned: bool) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    for y, row in enumerate(panel.cells):
        for x, cell in enumerate(row):
            face = to_rgb(EMPTY if cell is None else colours.to_rgba(cell.value))
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
            shown = "–" if cell is None else cell.text
            ink = FAINT if cell is None else _ink(face)
            weight = "bold" if cell is not None and cell.bold else "normal"
            ax.text(x, y, shown, ha="center", va="center", fontsize=8, color=ink, weight=weight)
    ax.set_xlim(-0.5, len(panel.columns) - 0.5)
    ax.set_ylim(len(panel.rows) - 0.5, -0.5)
    ax.set_xticks(range(len(panel.columns)), panel.columns, fontsize=8)
    if turned:
        ax.tick_params("x", rotation=30)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(panel.rows)), panel.rows if names_rows else [""] * len(panel.rows), fontsize=8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(panel.title, fontsize=9)
    ax.set_xlabel(panel.column_name, fontsize=9)
    if names_rows:
        ax.set_ylabel(panel.row_name, fontsize=9)


def _limits(values: Sequence[float], scale: Scale) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, scale.least_range)
    missing = max(0.0, scale.least_range - (high - low))
    return low - missing / 2, high + missing / 2


def _ink(face: Sequence[float]) -> str:
    """Black or white, whichever is read better (relative luminance, WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in face]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"
