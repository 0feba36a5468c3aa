"""Over seeds and examples at once: would other draws of training set and initialisation, asked other examples, differ?

Every seed answers every example, so chance comes in twice: by the seed, and by the example, which all seeds share. The
standard error is sqrt(s^2 / S + c) with s the spread of the differences over seeds and c the covariance of two seeds'
differences through their common examples (Obuchowski and Rockette 1995, the "multi-reader multi-case" problem, seeds
being the readers). It has S - 1 degrees of freedom, as the paired t-test, which it widens: more of them (Hillis 2007)
find more, but with 2 or 3 seeds too much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shared_variance_of_means(values: NDArray[np.float64]) -> float:
    """Mean covariance of the means of two seeds, through their examples; 0 where it is negative, and of one seed.

    Args:
        values: difference of each seed on each example [S, n].
    """
    return _mean_covariance(values) / len(values[0])


def shared_variance_of_resamples(values: NDArray[np.float64]) -> float:
    """The same for any statistic, from its values in resamples of the examples [S, R], each the same for all seeds."""
    return _mean_covariance(values)


def _mean_covariance(values: NDArray[np.float64]) -> float:
    seeds, columns = values.shape
    if seeds < 2 or columns < 2:
        return 0.0
    centred = values - values.mean(axis=1, keepdims=True)
    products = float((centred.sum(axis=0) ** 2).sum() - (centred**2).sum())  # of two different seeds
    return max(products / float(seeds * (seeds - 1) * (columns - 1)), 0.0)
