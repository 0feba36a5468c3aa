"""Paired bootstrap: examples are drawn with replacement, each with the answers of both columns and of all seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from ia2_eval.leaderboard.results.headline import BinKind
from ia2_eval.leaderboard.significance.evidence import LEVEL, Evidence
from ia2_eval.leaderboard.significance.pairs import Pairs
from ia2_eval.leaderboard.significance.power import POWER
from ia2_eval.scoring.bootstrap import Floats, Weights
from ia2_eval.scoring.calibration import BINS, ece_of, expected_calibration_error

RESAMPLES = 1000
ROUNDING = 1e-12
_SEED = 0

Bools = NDArray[np.bool_]


def bootstrap(difference: float, resamples: Floats, n: int) -> Evidence:
    """Two-sided p and interval of a normal distribution with the standard deviation of the resamples.

    Not of their quantiles: those know no p below 1 / R, which Holm's correction would need, and resamples of a
    calibration error are biased upwards.

    Args:
        difference: of the examples themselves.
        resamples: the difference in each resample [R]; NaN where it is not defined.
        n: number of examples.
    """
    from scipy.special import ndtr, ndtri

    defined = resamples[~np.isnan(resamples)]
    error = float(defined.std(ddof=1)) if len(defined) > 1 else 0.0
    if error < ROUNDING:
        return Evidence("bootstrap", None if difference else 1.0, unit="examples", units=n)
    critical, enough = float(ndtri(1 - LEVEL / 2)), float(ndtri(POWER))
    return Evidence(
        "bootstrap",
        float(2 * ndtr(-abs(difference) / error)),
        difference - critical * error,
        difference + critical * error,
        unit="examples",
        units=n,
        needed=ceil(n * ((critical + enough) * error / difference) ** 2) if difference else inf,
        detectable=(critical + enough) * error,
    )


@lru_cache(maxsize=4)
def draws(n: int, resamples: int = RESAMPLES) -> Weights:
    """How often each of n examples is in each resample [R, n]; for one n always the same."""
    weights = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), size=resamples)
    weights.flags.writeable = False
    return weights


def resampled_means(values: NDArray[np.float64], resamples: int = RESAMPLES) -> Floats:
    """Mean of one value per example [n] in each resample [R]."""
    drawn: Floats = draws(len(values), resamples) @ values / len(values)
    return drawn


@dataclass(frozen=True)
class CalibrationErrors:
    """Expected calibration errors, in bins of one kind, of the known ones among n examples and of their resamples.

    A column stands in many pairs: what was resampled once is kept.
    """

    bins: BinKind
    resamples: int = RESAMPLES
    _kept: dict[tuple[bytes, ...], Floats] = field(default_factory=dict)

    def differences(self, pairs: Pairs) -> Floats:
        """Of the two columns, over the examples whose confidence both know [S]; every seed has one."""
        return np.array([self.of(*one) - self.of(*other) for one, other in _by_seed(pairs)])

    def resampled_differences(self, pairs: Pairs) -> Floats:
        """The same in each resample in which all seeds have one [S, R]."""
        drawn = np.array([self.resampled(*one) - self.resampled(*other) for one, other in _by_seed(pairs)])
        return drawn[:, ~np.isnan(drawn).any(axis=0)]

    def of(self, confidence: Floats, correct: Bools, known: Bools) -> float:
        """Of the examples themselves, [n] each; at least one is known."""
        return expected_calibration_error(confidence[known], correct[known], equal_mass=self.bins == "equal-mass")

    def resampled(self, confidence: Floats, correct: Bools, known: Bools) -> Floats:
        """Of each resample of all n examples [R]; NaN where it has no known one."""
        place = (confidence.tobytes(), correct.tobytes(), known.tobytes())
        if place not in self._kept:
            self._kept[place] = self._resampled(confidence[known], correct[known], known)
        return self._kept[place]

    def _resampled(self, confidence: Floats, correct: Bools, known: Bools) -> Floats:
        weights = draws(len(known), self.resamples)[:, known]
        equal_mass = self.bins == "equal-mass"
        if known.all():
            return ece_of(confidence, correct, equal_mass=equal_mass)(weights)
        if not equal_mass:
            with np.errstate(invalid="ignore"):
                drawn: Floats = ece_of(confidence, correct)(weights) * known.sum() / weights.sum(axis=1)
            return drawn
        order = np.argsort(confidence, kind="stable")
        gaps = (correct - confidence)[order]
        return np.array([_equal_mass(np.repeat(gaps, row)) for row in weights[:, order]])


def _by_seed(pairs: Pairs) -> Iterator[tuple[tuple[Floats, Bools, Bools], tuple[Floats, Bools, Bools]]]:
    for i, known in enumerate(pairs.known):
        (confidence, hits), (others, other_hits) = ((side.confidence[i], side.hits[i]) for side in pairs.sides)
        yield (confidence, hits, known), (others, other_hits, known)


def _equal_mass(gaps: Floats) -> float:
    """ECE in equal-mass bins of (correct - confidence) in the order of confidence, as in `calibration`."""
    if not gaps.size:
        return np.nan
    starts = np.arange(min(BINS, gaps.size)) * max(1, gaps.size // BINS)
    return float(np.abs(np.add.reduceat(gaps, starts)).sum()) / gaps.size
