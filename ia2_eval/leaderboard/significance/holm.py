"""Holm's correction for several comparisons."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p values, in the order given: the chance of one false positive or more among all stays at the level.

    The i-th smallest of m becomes the maximum of (m - k + 1) p_(k) over k <= i, at most 1 (Holm 1979). Written here
    because statsmodels' `multipletests`, which the tests compare it with, takes a second to import.
    """
    corrected = [0.0] * len(p_values)
    greatest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = greatest
    return corrected
