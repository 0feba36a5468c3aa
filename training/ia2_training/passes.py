"""Cutting the rows of an optimiser step into forward passes."""

from __future__ import annotations

from collections.abc import Sequence

PASS_TOKENS = 64
"""A further forward and backward pass is taken to cost as much as so many tokens."""

MOST_TOKENS = 4096
"""Tokens of one pass at most, padding included: enough to keep a GPU busy, few enough for the activations of a model of
some billion weights to fit into its memory."""


def passes(lengths: Sequence[int], most: int | None = None) -> list[list[int]]:
    """Rows of similar length together, so that little padding is computed.

    Args:
        lengths: tokens of every row.
        most: rows of one pass at most; None: as many as `MOST_TOKENS` allow.

    Returns:
        The rows of every pass: the cut of the rows, in order of their length, that costs least.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    cheapest = [(0, 0)]  # for the first 0, 1, .. rows: the cost, and where the last pass begins
    for end, row in enumerate(order, 1):
        fitting = max(1, MOST_TOKENS // max(1, lengths[row]))
        starts = range(max(0, end - (fitting if most is None else min(fitting, most))), end)
        cheapest.append(min((cheapest[s][0] + PASS_TOKENS + (end - s) * lengths[row], s) for s in starts))
    cut: list[list[int]] = []
    end = len(order)
    while end:
        start = cheapest[end][1]
        cut.append(order[start:end])
        end = start
    return cut
