"""How many candidates are scored on how many items: the cost of a round, known before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from ia2_eval.errors import UserError

USUAL_SHARE = 0.25
"""Of all (candidate, item) pairs, what racing scores unless told otherwise."""
LEAST_ITEMS = 4
"""Of a block: nobody is dropped on fewer, if there are as many dev items."""
_BISECTIONS = 60


class Rung(NamedTuple):
    """A block of further items for the candidates that are left, and how many of these go on."""

    candidates: int
    items: int
    keep: int

    @property
    def pairs(self) -> int:
        return self.candidates * self.items


Schedule = tuple[Rung, ...]


def pairs(schedule: Schedule) -> int:
    """(Candidate, item) pairs that are scored."""
    return sum(rung.pairs for rung in schedule)


def exhaustive(candidates: int, items: int) -> Schedule:
    """Every candidate on every item."""
    return (Rung(candidates, items, 1),)


def racing(candidates: int, items: int, eta: int = 2, budget: int | None = None) -> Schedule:
    """Successive halving (Jamieson and Talwalkar 2016): after each block of items one in `eta` candidates goes on.

    Those of the last block are scored on all items. Every block has `LEAST_ITEMS` at least: too few items make fewer
    blocks, the last of them with more candidates, down to one block of all. The items beyond that go to the blocks as
    1 / candidates^a, with the least a for which the budget is enough: a = 0 gives equal blocks.

    Args:
        candidates: at the beginning.
        items: of the dev set.
        eta: one in this many goes on.
        budget: pairs at most; None for a quarter of all, or the least that is possible.

    Raises:
        UserError: the budget is not enough.
    """
    counts = [candidates]
    while counts[-1] > eta and (len(counts) + 1) * LEAST_ITEMS <= items:
        counts.append(ceil(counts[-1] / eta))
    least = pairs(_schedule(counts, [LEAST_ITEMS] * (len(counts) - 1), items))
    most = candidates * items
    budget = max(least, ceil(USUAL_SHARE * most)) if budget is None else budget
    if budget < least:
        raise UserError(
            f"budget {budget} is not enough for {candidates} candidates and {items} dev items: racing needs {least} "
            f"pairs or more, with {LEAST_ITEMS} items or more in each block, exhaustive search {most}"
        )
    low, high = -16.0, 16.0  # the exponent a: the higher, the more items are left for the last candidates
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        affordable = pairs(_schedule(counts, _blocks(counts, items, middle), items)) <= budget
        low, high = (low, middle) if affordable else (middle, high)
    return _schedule(counts, _blocks(counts, items, high), items)


def _blocks(counts: Sequence[int], items: int, exponent: float) -> list[int]:
    """Items of all blocks but the last."""
    logarithms = -exponent * np.log(counts)
    weights = np.exp(logarithms - logarithms.max())
    spare = items - LEAST_ITEMS * len(counts)
    shares = spare * weights / weights.sum() + 1e-9  # a share of 9 is not to become 8
    return [LEAST_ITEMS + int(share) for share in shares[:-1]]


def _schedule(counts: Sequence[int], blocks: Sequence[int], items: int) -> Schedule:
    return tuple(
        Rung(candidates, block, keep)
        for candidates, block, keep in zip(counts, [*blocks, items - sum(blocks)], [*counts[1:], 1], strict=True)
    )
