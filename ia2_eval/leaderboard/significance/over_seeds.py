"""Tests over seeds: paired differences x_1 to x_S of a metric, one per seed, on one and the same evaluation set."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from ia2_eval.leaderboard.significance.evidence import LEVEL, Evidence, TestName, Unit
from ia2_eval.leaderboard.significance.power import detectable, units_needed
from ia2_eval.leaderboard.significance.sign_flips import sign_flip_p

DECIMALS = 12
"""Differences that agree so far are tied: 0.3 - 0.1 and 0.4 - 0.2 are the same difference."""


def paired_p(differences: ArrayLike, shared: float = 0.0) -> float | None:
    """Two-sided p of Student's t-test of paired differences [S] against 0.

    None where the standard error is not known: one seed, or seeds that agree on a difference other than 0.

    Args:
        differences: one per seed.
        shared: variance that all have in common, see `power`; 0 is the paired t-test.
    """
    from scipy.special import stdtr

    mean, spread, units = _moments(differences)
    error = sqrt(spread**2 / units + shared)
    if units < 2 or not error:
        return None if units < 2 or mean else 1.0
    return float(2 * stdtr(units - 1, -abs(mean) / error))


def paired_t(differences: Sequence[float], test: TestName = "t", unit: Unit = "seeds", shared: float = 0.0) -> Evidence:
    """The same test with its interval and power."""
    from scipy.special import stdtrit

    mean, spread, units = _moments(differences)
    p, error = paired_p(differences, shared), sqrt(spread**2 / units + shared)
    if p is None or not error:
        return Evidence(test, p, unit=unit, units=units)
    reach = float(stdtrit(units - 1, 1 - LEVEL / 2)) * error
    return Evidence(
        test,
        p,
        mean - reach,
        mean + reach,
        unit=unit,
        units=units,
        needed=units_needed(mean, spread, shared),
        detectable=detectable(spread, units, shared),
    )


def wilcoxon(differences: Sequence[float]) -> Evidence:
    """Signed-rank test, exact: also with ties (midranks) and zeros (left out, as Wilcoxon did).

    Its least p of S seeds is 2 / 2^S: fewer than 6 seeds are never significant at 5 %.
    """
    from scipy.stats import rankdata

    if len(differences) < 2:
        return Evidence("wilcoxon", None, unit="seeds", units=len(differences))
    values = np.round(np.asarray(differences, dtype=np.float64), DECIMALS)
    values = values[values != 0]
    twice_ranks = np.rint(2 * rankdata(np.abs(values))).astype(np.int64)  # midranks are halves of integers
    p = sign_flip_p(twice_ranks * np.sign(values).astype(np.int64))
    return Evidence("wilcoxon", p, unit="seeds", units=len(differences))


def effect_size(differences: Sequence[float]) -> float | None:
    """Cohen's d_z: mean over spread; None where the spread is not known or 0."""
    mean, spread, _ = _moments(differences)
    return mean / spread if spread else None


def _moments(differences: ArrayLike) -> tuple[float, float, int]:
    """Mean, sample standard deviation (0 where it is but rounding, or of one) and number."""
    values = np.round(np.asarray(differences, dtype=np.float64), DECIMALS)
    spread = float(values.std(ddof=1)) if np.ptp(values) else 0.0
    return float(values.mean()), spread, values.size
