"""How sure a test is to find a difference, how many seeds or datasets it takes, and what these many can find.

The mean difference of S seeds has the standard error sqrt(s^2 / S + c): s is the spread over seeds and c the variance
that all seeds share, as they answer the same examples (0 in a plain paired t-test). More seeds make the first part
small, never the second. The test compares mean / error with Student's t of S - 1 degrees of freedom, so that, over the
spreads s that chance gives (s^2 / sigma^2 is chi^2(S - 1) / (S - 1)), a true difference d is found with the chance

    E[Phi((d - t e(s)) / e(sigma)) + Phi((-d - t e(s)) / e(sigma))],  e(s) = sqrt(s^2 / S + c),

which for c = 0 is the noncentral t distribution's.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from ia2_eval.leaderboard.significance.evidence import LEVEL

POWER = 0.8
MOST = 100_000
"""Units; who would need more needs another experiment."""


def power(difference: float, spread: float, units: int, shared: float = 0.0) -> float:
    """Chance that the two-sided test is significant at `LEVEL`.

    Args:
        difference: the true one.
        spread: standard deviation of the difference over units (seeds, datasets).
        units: how many, two or more.
        shared: variance of the difference that all units have in common.
    """
    from scipy.special import ndtr, stdtrit

    error = sqrt(spread**2 / units + shared)
    if not error:
        return 1.0 if difference else 0.0
    critical = float(stdtrit(units - 1, 1 - LEVEL / 2))
    reach = critical * np.sqrt(spread**2 / units * _relative_variances(units - 1) + shared)
    return float(np.mean(ndtr((difference - reach) / error) + ndtr((-difference - reach) / error)))


@lru_cache(maxsize=256)
def _relative_variances(df: int) -> NDArray[np.float64]:
    """Equally likely values of chi^2(df) / df."""
    from scipy.special import chdtri

    points = 1000
    quantiles: NDArray[np.float64] = chdtri(df, 1 - (np.arange(points) + 0.5) / points) / df
    return quantiles


def units_needed(difference: float, spread: float, shared: float = 0.0) -> float:
    """Least number of units, two or more, with 80 % power; inf where none up to `MOST` has it."""
    if not difference or power(difference, spread, MOST, shared) < POWER:
        return inf
    low, high = 1, 2
    while power(difference, spread, high, shared) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, spread, middle, shared) >= POWER else (middle, high)
    return high


def detectable(spread: float, units: int, shared: float = 0.0) -> float | None:
    """Least true difference that is found with 80 % power; None without any spread."""
    from scipy.optimize import brentq

    high = sqrt(spread**2 / units + shared)
    if not high:
        return None
    while power(high, spread, units, shared) < POWER:
        high *= 2
    return float(brentq(lambda difference: power(difference, spread, units, shared) - POWER, 0, high, xtol=1e-9))


def power_over_examples(difference: float, spread: float, n: int) -> float:
    """Chance that McNemar's test of n examples is significant at `LEVEL`, by the normal distribution (Connor 1987).

    Phi((|d| sqrt(n) - z(0.975) sqrt(m)) / s): without a difference the variance of an example is the second moment
    m = s^2 + d^2, at the difference d it is s^2. The other tail is left out.

    Args:
        difference: mean over examples, the true one.
        spread: standard deviation over examples.
        n: examples.
    """
    from scipy.special import ndtr, ndtri

    if not spread:
        return 1.0 if difference else 0.0
    reach = float(ndtri(1 - LEVEL / 2)) * sqrt(spread**2 + difference**2)
    return float(ndtr((abs(difference) * sqrt(n) - reach) / spread))


def examples_needed(difference: float, spread: float) -> float:
    """Least number of examples with 80 % power in `power_over_examples`; inf for a difference of 0."""
    from scipy.special import ndtri

    if not difference:
        return inf
    reach = float(ndtri(1 - LEVEL / 2)) * sqrt(spread**2 + difference**2) + float(ndtri(POWER)) * spread
    return ceil((reach / difference) ** 2)
