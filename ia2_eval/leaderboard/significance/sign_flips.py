"""The exact distribution behind McNemar's and Wilcoxon's tests: a sum whose terms have random signs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def sign_flip_p(values: ArrayLike) -> float:
    """P(|sum of ±v| >= |sum of v|) with a fair coin for each sign: the exact p of a sum of paired differences.

    Terms of one magnitude m are m times a binomial count, and the counts of different magnitudes are convolved. With
    magnitudes of 1 it is the sign test, that is the exact McNemar test.

    Args:
        values: integers [k]; zeros say nothing and are left out.

    Raises:
        ValueError: values that are no integers.
    """
    terms = np.asarray(values)
    if not np.issubdtype(terms.dtype, np.integer):
        raise ValueError(f"sign flips need integers, got {terms.dtype}: scale the differences first")
    magnitudes, counts = np.unique(np.abs(terms[terms != 0]), return_counts=True)
    chances = np.ones(1)  # of the sum of the terms with a plus
    for magnitude, count in zip(magnitudes, counts, strict=True):
        spaced = np.zeros(magnitude * count + 1)
        spaced[::magnitude] = _fair_binomial(int(count))
        chances = np.convolve(chances, spaced)
    sums = 2 * np.arange(len(chances)) - (len(chances) - 1)  # plus terms less minus terms
    return min(1.0, float(chances[np.abs(sums) >= abs(int(terms.sum()))].sum()))


def _fair_binomial(count: int) -> np.typing.NDArray[np.float64]:
    """Chances of 0 to `count` heads in `count` throws of a fair coin [count + 1]."""
    from scipy.special import gammaln

    heads = np.arange(count + 1)
    chances: np.typing.NDArray[np.float64] = np.exp(
        gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1) - count * np.log(2)
    )
    return chances
