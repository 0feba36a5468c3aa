"""How a method and its variants are named and drawn, the same in every table and figure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple


class Column(NamedTuple):
    """What has a column in a table."""

    method: str
    variant: str = ""
    """As in `Cell.variant`."""


class MethodStyle(NamedTuple):
    title: str
    colour: str
    marker: str
    line: str = "-"

    @property
    def curve(self) -> dict[str, Any]:
        """Arguments of matplotlib's `plot` for a line through points."""
        looks = {"color": self.colour, "marker": self.marker, "linestyle": self.line, "label": self.title}
        return {**looks, "markersize": 5, "linewidth": 1.4}

    @property
    def errorbar(self) -> dict[str, Any]:
        """Arguments of matplotlib's `errorbar` for a line with intervals."""
        return {**self.curve, "elinewidth": 1, "capsize": 2.5}


# In table order; Okabe and Ito's palette. Any two of its colours, and of those of other methods, can be told apart by
# colour-blind readers, which a test simulates; no figure depends on it, as markers or labels differ, too.
KNOWN: dict[str, MethodStyle] = {
    "no_icl": MethodStyle("no ICL", "#000000", "X"),
    "icl": MethodStyle("ICL", "#CC79A7", "o"),
    "sft": MethodStyle("SFT", "#D55E00", "s"),
    "ia2": MethodStyle("IA2", "#009E73", "^"),
    "ia2_sft": MethodStyle("IA2 → SFT", "#0072B2", "D"),
    "sft_ia2": MethodStyle("SFT → IA2", "#56B4E9", "v"),
    "ia2+sft": MethodStyle("IA2 + SFT", "#E69F00", "P"),
    "soft_sft": MethodStyle("soft SFT", "#882255", "*"),
}

# For methods that users add. The lengths have no common divisor, so that 28 pairs pass before one comes again.
OTHER_COLOURS = ("#332288", "#DDCC77", "#661100", "#BBBBBB")
OTHER_MARKERS = ("<", ">", "p", "h", "8", "d", "H")

# A variant has the colour of its method. The lengths have no common divisor either.
VARIANT_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
VARIANT_LINES = ("--", ":", "-.")

# For what is no method.
BLUE, VERMILION = "#0072B2", "#D55E00"
STRONG, FAINT, FAINTER, FAINTEST = "#555555", "#777777", "#999999", "#EEEEEE"
GRID = "#DDDDDD"
FAINT_LINE: dict[str, Any] = {"color": FAINT, "linestyle": ":", "linewidth": 1.2}
"""Arguments of matplotlib's `plot` for what results are compared with, such as chance."""

RC_PARAMS = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "ia2-eval",  # the same figure is the same SVG, byte for byte
}
"""Matplotlib settings of every figure; applied in a context, never globally."""


def table_order(method: str) -> tuple[int, str]:
    """Sort key of the columns: the known methods in their order, then others by name."""
    return (list(KNOWN).index(method) if method in KNOWN else len(KNOWN), method)


def column_order(column: Column) -> tuple[object, ...]:
    """Sort key of the columns: by method, the plain one first, numbers in the names of variants by their size."""
    parts = re.split(r"(\d+(?:\.\d+)?)", column.variant)
    return table_order(column.method), [(float(part), "") if i % 2 else (0.0, part) for i, part in enumerate(parts)]


def method_title(method: str) -> str:
    return KNOWN[method].title if method in KNOWN else method


def column_title(column: Column) -> str:
    """Such as `SFT` and `SFT (icl_outputs)`."""
    return method_title(column.method) + (f" ({column.variant})" if column.variant else "")


def method_styles(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """Style of each method, in table order.

    Args:
        methods: all of a run, so that a method looks the same in each of its figures.
    """
    ordered = sorted(set(methods), key=table_order)
    others = [method for method in ordered if method not in KNOWN]
    cycle = {
        method: MethodStyle(method, OTHER_COLOURS[i % len(OTHER_COLOURS)], OTHER_MARKERS[i % len(OTHER_MARKERS)])
        for i, method in enumerate(others)
    }
    return {method: (KNOWN | cycle)[method] for method in ordered}


def column_styles(columns: Iterable[Column]) -> dict[Column, MethodStyle]:
    """Style of each column, in table order.

    Args:
        columns: all of a run, as in `method_styles`.
    """
    ordered = sorted(set(columns), key=column_order)
    methods = method_styles(column.method for column in ordered)
    styles: dict[Column, MethodStyle] = {}
    variants: Counter[str] = Counter()
    for column in ordered:
        style = methods[column.method]._replace(title=column_title(column))
        if column.variant:
            i = variants[column.method]
            variants[column.method] += 1
            marker, line = VARIANT_MARKERS[i % len(VARIANT_MARKERS)], VARIANT_LINES[i % len(VARIANT_LINES)]
            style = style._replace(marker=marker, line=line)
        styles[column] = style
    return styles
