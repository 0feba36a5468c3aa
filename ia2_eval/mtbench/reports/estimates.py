"""Means of rows that come in questions, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from ia2_eval.scoring.bootstrap import Floats, Weights, bootstrap_interval

INTERVAL = "95 % percentile bootstrap over questions"
"""What every interval of a report is, for captions."""


class Estimate(NamedTuple):
    """A mean over rows, and its 95 % interval."""

    value: float
    lower: float
    upper: float
    """Both bounds are NaN where all rows are of one question."""
    n: int
    """Rows."""
    questions: int

    @property
    def excludes_zero(self) -> bool:
        return self.lower > 0 or self.upper < 0


def pooled_mean(values: Sequence[float], questions: Sequence[int]) -> Estimate | None:
    """The mean over all rows, as FastChat pools them; None without rows.

    The interval is a cluster bootstrap: questions are drawn with replacement, and all rows of a question (turns,
    samples, repeats) come with it as often as it was drawn, as they are not independent. Over the ten questions of one
    of MT-Bench's categories it holds the truth in about 90 % of simulations, over 80 in about 95 %.

    Args:
        values: one per row.
        questions: whose each row is.
    """
    if not values:
        return None
    ids, at = np.unique(np.asarray(questions), return_inverse=True)
    sums = np.bincount(at, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(at)
    value = float(sums.sum() / counts.sum())
    if len(ids) < 2:
        return Estimate(value, nan, nan, len(values), len(ids))

    def mean(weights: Weights) -> Floats:
        return np.asarray((weights @ sums) / (weights @ counts), dtype=np.float64)

    interval = bootstrap_interval(mean, len(ids))
    return Estimate(value, interval.lower, interval.upper, len(values), len(ids))
