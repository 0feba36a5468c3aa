"""The judge's own noise: how far several judgments of the same answer differ."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
from typing import NamedTuple

from ia2_eval.mtbench.judging.judgments import Judgment


class Noise(NamedTuple):
    answers: int
    """Turns of answers that have two ratings or more."""
    deviation: float
    """Standard deviation of a single rating within an answer, pooled over these answers."""
    changed: float
    """Share of these answers whose ratings are not all the same."""
    standard_error: float
    """What this alone puts on the average of all rows: the deviation over the root of their number."""


def judge_noise(rated: Sequence[Judgment]) -> Noise | None:
    """From the repeats of one judge on one model; None if no answer has two ratings."""
    by_answer: dict[tuple[int, int, int], list[float]] = {}
    for row in rated:
        by_answer.setdefault((row.question_id, row.turn, row.sample), []).append(row.score)
    repeated = [ratings for ratings in by_answer.values() if len(ratings) > 1]
    if not repeated:
        return None
    squares = fsum((rating - fsum(ratings) / len(ratings)) ** 2 for ratings in repeated for rating in ratings)
    deviation = sqrt(squares / sum(len(ratings) - 1 for ratings in repeated))
    changed = sum(len(set(ratings)) > 1 for ratings in repeated) / len(repeated)
    return Noise(len(repeated), deviation, changed, deviation / sqrt(len(rated)))
