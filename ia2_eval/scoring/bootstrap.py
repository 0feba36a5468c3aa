"""Bootstrap intervals over examples, for statistics of weighted examples.

A statistic takes how often each of the n examples was drawn, [R, n] for R resamples, each row of sum n, and gives its
R values; with ones it is the statistic of the examples themselves. What does not depend on the draw, such as an order
or a bin, is so computed once, and most statistics are a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.int64]
Statistic = Callable[[Weights], Floats]

RESAMPLES = 1000
LEVEL = 0.95
_SEED = 0
_BLOCK = 2**22  # elements of one block of resamples; bounds memory, not results


class Interval(NamedTuple):
    """Bootstrap interval of a statistic and the standard deviation of its resamples."""

    lower: float
    upper: float
    standard_error: float


def mean_of(values: ArrayLike) -> Statistic:
    """The mean of one value per example [n]."""
    column = np.asarray(values, dtype=np.float64)
    return lambda weights: weights @ column / len(column)


def estimate(statistic: Statistic, n: int) -> float:
    """The statistic of the n examples themselves."""
    return float(statistic(np.ones((1, n), dtype=np.int64))[0])


def bootstrap_interval(statistic: Statistic, n: int) -> Interval:
    """Percentile bootstrap over n examples drawn with replacement: for one n always the same draws.

    Resamples in which the statistic is not defined (NaN) are left out; NaN thrice if fewer than two are left.

    Raises:
        ValueError: no examples.
    """
    if n < 1:
        raise ValueError(f"need one example or more to draw from, got {n}")
    drawn = np.concatenate([statistic(weights) for weights in _draws(n, RESAMPLES)])
    values = drawn[~np.isnan(drawn)]
    if len(values) < 2:
        return Interval(np.nan, np.nan, np.nan)
    lower, upper = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(lower), float(upper), float(values.std(ddof=1)))


def mirrored(interval: Interval, value: float) -> Interval:
    """The basic bootstrap interval, from the percentile one, of a statistic of [0, 1] that is biased upwards.

    Resamples are biased once more, so their percentiles are mirrored at the estimate `value`; the result is cut to
    [0, 1] and always holds the estimate. That of ECE at n = 500 held the truth in about 85 % of simulations for a true
    ECE of 0.05 and 0.1, and in half of them for 0, where `noise_floor` says more.
    """
    lower, upper = 2 * value - interval.upper, 2 * value - interval.lower
    return Interval(min(max(lower, 0.0), value), max(min(upper, 1.0), value), interval.standard_error)


def block_sizes(rows: int, n: int) -> list[int]:
    """`rows` split so that a block of [rows, n] stays within `_BLOCK` elements."""
    block = max(1, _BLOCK // n)
    return [min(block, rows - start) for start in range(0, rows, block)]


def _draws(n: int, resamples: int) -> Iterator[Weights]:
    if resamples * n <= _BLOCK:
        yield _one_block(n, resamples)
        return
    rng = np.random.default_rng(_SEED)
    for rows in block_sizes(resamples, n):
        yield _weights(rng, rows, n)


@lru_cache(maxsize=1)  # the statistics of an evaluation are taken one after another, of the same draws
def _one_block(n: int, resamples: int) -> Weights:
    weights = _weights(np.random.default_rng(_SEED), resamples, n)
    weights.flags.writeable = False
    return weights


def _weights(rng: np.random.Generator, rows: int, n: int) -> Weights:
    drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
