"""One round: which candidate is best, by a schedule of blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ia2_eval.mtbench.search.schedule import Schedule
from ia2_eval.scoring.bootstrap import Floats

Score = Callable[[int, range], Sequence[float | None]]
"""Candidate and a block of items -> its score on each; None where there is none."""


class Standing(NamedTuple):
    """How far a candidate came."""

    candidate: int
    scores: Floats
    """On the items [D]; NaN where it was not scored."""

    @property
    def items(self) -> int:
        """Scored ones."""
        return int(np.count_nonzero(~np.isnan(self.scores)))


def race(schedule: Schedule, score: Score) -> list[Standing]:
    """All candidates, best first: by how far they came, then as they were compared last.

    After a block, candidates are compared with the leader (the best mean) on the items that both have a score for, of
    all blocks so far. Of equals, the one that comes first in the pool is better; one without an item in common with the
    leader is last.

    Args:
        schedule: of the round.
        score: called for one candidate after another, block by block.
    """
    table = np.full((schedule[0].candidates, sum(rung.items for rung in schedule)), np.nan)
    left, out, first = list(range(len(table))), list[int](), 0
    for rung in schedule:
        block, left = range(first, first + rung.items), sorted(left)
        for candidate in left:
            table[candidate, block.start : block.stop] = [
                np.nan if value is None else value for value in score(candidate, block)
            ]
        first = block.stop
        left = [left[place] for place in compared(table[left])]
        left, out = left[: rung.keep], [*left[rung.keep :], *out]
    return [Standing(candidate, table[candidate]) for candidate in (*left, *out)]


def compared(scores: Floats) -> list[int]:
    """Order of candidates, best first, by their mean difference to the leader on items that both have.

    Args:
        scores: [candidates, items], NaN where there is none.
    """
    means = mean_of_scored(scores)
    leader = int(np.argmax(means))
    behind = mean_of_scored(scores - scores[leader])
    return sorted(range(len(scores)), key=lambda place: -behind[place])


def mean_of_scored(scores: Floats) -> Floats:
    """Mean over the last axis without NaN; minus infinity where nothing is left."""
    there = ~np.isnan(scores)
    sums, counts = np.where(there, scores, 0.0).sum(axis=-1), there.sum(axis=-1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, -np.inf), where=counts > 0)
    return means
