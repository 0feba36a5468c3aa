"""A reliability diagram as numbers that the page draws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import fsum

from ia2_eval.leaderboard.page.shared import Json, scaled
from ia2_eval.leaderboard.results.headline import BinKind
from ia2_eval.leaderboard.results.reliability import Reliability
from ia2_eval.scoring.calibration import Bin

STEPS = 1000
"""Of an axis: finer than the diagram can show."""


def diagram(reliability: Reliability, bins: BinKind) -> Json:
    """`[ECE, examples with a known confidence, examples, bars]`; None where no confidence is known.

    A bar is `left, right, examples, right ones, mean confidence`, one after another in a flat list; confidences in
    `STEPS`, the ECE as `scaled`.
    """
    if not reliability.bins:
        return None
    return [scaled(reliability.ece), reliability.n, reliability.samples, [*_bars(reliability.bins, bins)]]


def _bars(found: tuple[Bin, ...], bins: BinKind) -> Iterator[Json]:
    """Empty bins have none. Equal-mass bins of one and the same confidence have one: which an example is in is chance.

    The grid of equal-width bins is known: theirs are told by their number, without a right side.
    """
    numbered = [(i, bin_) for i, bin_ in enumerate(found) if bin_.count]
    for (left, right), alike in groupby(numbered, lambda pair: (pair[1].lower, pair[1].upper)):
        members = [*alike]
        count = sum(bin_.count for _, bin_ in members)
        correct = round(fsum(bin_.count * (bin_.accuracy or 0.0) for _, bin_ in members))
        confidence = fsum(bin_.count * (bin_.confidence or 0.0) for _, bin_ in members) / count
        sides = [members[0][0]] if bins == "equal-width" else [round(STEPS * left), round(STEPS * right)]
        yield from (*sides, count, correct, round(STEPS * confidence))
