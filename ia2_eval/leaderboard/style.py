"""How a method is named and drawn, the same in every table and figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class MethodStyle(NamedTuple):
    title: str
    colour: str
    marker: str


KNOWN: dict[str, MethodStyle] = {  # in table order; Okabe and Ito's colour-blind-safe palette
    "no_icl": MethodStyle("no ICL", "#000000", "X"),
    "icl": MethodStyle("ICL", "#CC79A7", "o"),
    "sft": MethodStyle("SFT", "#D55E00", "s"),
    "ia2": MethodStyle("IA2", "#009E73", "^"),
    "ia2_sft": MethodStyle("IA2 → SFT", "#0072B2", "D"),
}

# For methods that users add. The lengths have no common divisor, so that 28 pairs pass before one comes again.
OTHER_COLOURS = ("#E69F00", "#56B4E9", "#882255", "#999933")
OTHER_MARKERS = ("v", "P", "<", ">", "p", "h", "*")

RC_PARAMS = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "ia2-eval",  # the same figure is the same SVG, byte for byte
}
"""Matplotlib settings of every figure; applied in a context, never globally."""


def table_order(method: str) -> tuple[int, str]:
    """Sort key of the columns: the known methods in their order, then others by name."""
    return (list(KNOWN).index(method) if method in KNOWN else len(KNOWN), method)


def method_title(method: str) -> str:
    return KNOWN[method].title if method in KNOWN else method


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
