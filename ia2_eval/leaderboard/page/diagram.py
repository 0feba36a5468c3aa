"""A reliability diagram as numbers that the page draws."""

from __future__ import annotations

from collections.abc import Iterator

from ia2_eval.leaderboard.page.shared import Json, scaled
from ia2_eval.leaderboard.results.headline import BinKind
from ia2_eval.leaderboard.results.reliability import Reliability, bars_of
from ia2_eval.scoring.calibration import BINS

STEPS = 1000
"""Of an axis: finer than the diagram can show."""


def diagram(reliability: Reliability, bins: BinKind) -> Json:
    """`[ECE, examples with a known confidence, examples, bars]`; None where no confidence is known.

    A bar is `left, right, examples, right ones, mean confidence`, one after another in a flat list; confidences in
    `STEPS`, the ECE as `scaled`.
    """
    if not reliability.bins:
        return None
    return [scaled(reliability.ece), reliability.n, reliability.samples, [*_numbers(reliability, bins)]]


def _numbers(reliability: Reliability, bins: BinKind) -> Iterator[Json]:
    """The grid of equal-width bins is known: theirs are told by their number, without a right side."""
    for bar in bars_of(reliability.bins):
        sides = [round(BINS * bar.left)] if bins == "equal-width" else [round(STEPS * side) for side in bar[:2]]
        yield from (*sides, bar.samples, round(bar.samples * bar.accuracy), round(STEPS * bar.confidence))
