"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599, section 4.2): one scalar, fitted on dev examples.

It changes no answer, only how sure each is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

BOUNDS = (0.01, 100.0)


def fit_temperature(log_likelihoods: ArrayLike, gold: ArrayLike) -> float:
    """The T in `BOUNDS` that minimises the mean negative log-likelihood of softmax(log_likelihoods / T).

    In 1/T that is convex, so the minimum is one. Where every dev example is answered right the likelihood only grows
    as T falls, and T is the lower bound; where T is worse than no information at all, it is the upper bound. Where no T
    is better than 1 it is 1: all labels equally likely, or a gold label of probability 0.

    Args:
        log_likelihoods: of the labels, in nats, up to a constant per example, [n, K].
        gold: index of the gold label, [n].

    Raises:
        ValueError: no examples, shapes that do not fit, or a gold index that is no label.
    """
    from scipy.optimize import minimize_scalar  # takes longer to import than everything else here

    scores, index = np.asarray(log_likelihoods, dtype=np.float64), np.asarray(gold)
    if scores.ndim != 2 or not scores.size or index.shape != scores.shape[:1]:
        raise ValueError(f"need log-likelihoods [n, K] and gold labels [n], got shapes {scores.shape}, {index.shape}")
    if not ((index >= 0) & (index < scores.shape[1])).all():
        raise ValueError(f"gold labels must be indices below {scores.shape[1]}, got {sorted(set(index.tolist()))}")
    scores = scores - scores.max(axis=1, keepdims=True)

    def nll(temperature: float) -> float:
        scaled = scores / temperature
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(index)), index]).mean())

    if not np.isfinite(nll(1.0)):
        return 1.0
    found = minimize_scalar(
        lambda log_temperature: nll(np.exp(log_temperature)),
        bounds=np.log(BOUNDS),
        method="bounded",
        options={"xatol": 1e-9},
    )
    # The search never tries the bounds themselves; of equals the first counts.
    return min((1.0, *BOUNDS, float(np.exp(found.x))), key=nll)
