"""How a method is named and drawn, the same in every table and figure."""

from __future__ import annotations

from typing import NamedTuple

from ia2_eval.experiments.cell import Method


class MethodStyle(NamedTuple):
    title: str
    colour: str  # Okabe and Ito's colour-blind-safe palette
    marker: str


METHODS: dict[Method, MethodStyle] = {  # in table order
    "no_icl": MethodStyle("no ICL", "#000000", "X"),
    "icl": MethodStyle("ICL", "#CC79A7", "o"),
    "sft": MethodStyle("SFT", "#D55E00", "s"),
    "ia2": MethodStyle("IA2", "#009E73", "^"),
    "ia2_sft": MethodStyle("IA2 → SFT", "#0072B2", "D"),
}

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
