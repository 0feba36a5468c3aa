"""Bounds of paired differences: the same examples, answered before and after a change by models of several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.scoring.bootstrap import Statistic, Weights, bootstrap_interval, estimate

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """After minus before, with its standard error over examples and its values over seeds."""

    value: float
    error: float  # standard error over examples, for these very models
    by_seed: Floats  # [S]

    def bound(self, upper: bool, level: float) -> float:
        """One-sided confidence bound at `level`: the farther one of that over examples and that over seeds.

        Over examples it is normal, over S > 1 seeds Student's: value ± t(level, S - 1) s / sqrt(S). A single model
        says nothing about other seeds, and need not: before and after are the same one.
        """
        from scipy.special import ndtri, stdtrit

        reach = float(ndtri(level)) * self.error
        seeds = len(self.by_seed)
        if seeds > 1:
            spread = float(np.std(self.by_seed, ddof=1)) / sqrt(seeds)
            reach = max(reach, float(stdtrit(seeds - 1, level)) * spread)
        return self.value + reach if upper else self.value - reach


def accuracy_difference(before: Bools, after: Bools) -> Difference:
    """Of the accuracy, from whether each example was answered rightly by the model of each seed [S, n].

    Over examples the error is that of Agresti and Min (2005, Statistics in Medicine 24): half an observation is added
    to each of the four cells of the paired table, so that no difference at all still has an error, about 1 / n. With
    several seeds an example counts once, by the mean over its models.
    """
    by_example = after.astype(float).mean(axis=0) - before.astype(float).mean(axis=0)  # [n]
    n = by_example.size + 2
    variance = float((by_example**2).sum()) + 1 - float(by_example.sum()) ** 2 / n
    return Difference(float(by_example.mean()), sqrt(variance) / n, after.mean(axis=1) - before.mean(axis=1))


def statistic_difference(before: Sequence[Statistic], after: Sequence[Statistic], n: int) -> Difference:
    """Of any statistic of n weighted examples, such as the ECE: one of each before and after for each seed.

    The error over examples is the standard deviation of 1000 resamples of the examples, the same for all models.
    """

    def difference(weights: Weights) -> Floats:
        by_seed = [b(weights) - a(weights) for a, b in zip(before, after, strict=True)]
        return np.asarray(np.mean(by_seed, axis=0))

    by_seed = np.array([estimate(b, n) - estimate(a, n) for a, b in zip(before, after, strict=True)])
    error = bootstrap_interval(difference, n).standard_error
    return Difference(float(by_seed.mean()), inf if np.isnan(error) else error, by_seed)
