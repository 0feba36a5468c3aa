"""Calibration of (confidence, correct) pairs: bins, expected calibration error (ECE), its interval and noise floor.

ECE is the sum over bins of (share of the examples) * |accuracy - mean confidence|, with bins of one of two kinds:

- equal width: `bins` intervals [lower, upper) of [0, 1], the last one closed; netcal's convention.
- equal mass, as in arXiv 2509.22621: sorted by confidence, n // bins examples each, the last bin also takes the
  remainder. With fewer examples than bins every example is a bin of its own and the other bins are empty.

Shapes: n examples, R rows (resamples or simulated outcomes of them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BINS = 15
_BLOCK = 2**22  # elements of one block of resamples; bounds memory, not results


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram. An empty bin has neither mean confidence nor accuracy."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


class Interval(NamedTuple):
    """Bootstrap interval of a statistic and the standard deviation of its resamples."""

    lower: float
    upper: float
    standard_error: float


class NoiseFloor(NamedTuple):
    """The ECE that perfectly calibrated predictions show by chance alone."""

    median: float
    percentile_95: float


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, equal_mass: bool = False
) -> list[Bin]:
    """The `bins` bins in ascending order of confidence.

    Equal-width bins are bounded by the grid, equal-mass bins by their least and greatest confidence (NaN when empty).

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, hit = _validated(confidence, correct, bins)
    index = _bin_index(p[None], bins, equal_mass)[0]
    grid = np.linspace(0, 1, bins + 1)
    table = []
    for b in range(bins):
        inside = index == b
        count = int(inside.sum())
        lower, upper = grid[b], grid[b + 1]
        if equal_mass:
            lower, upper = (p[inside].min(), p[inside].max()) if count else (np.nan, np.nan)
        means = (float(p[inside].mean()), float(hit[inside].mean())) if count else (None, None)
        table.append(Bin(float(lower), float(upper), count, *means))
    return table


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, equal_mass: bool = False
) -> float:
    """ECE of confidences [n] in [0, 1] and correctness [n] in {0, 1}.

    Raises:
        ValueError: no examples, lengths that differ, a confidence outside [0, 1] or NaN, a correctness other than
            0 or 1, or fewer than one bin.
    """
    p, hit = _validated(confidence, correct, bins)
    return float(_row_errors(p[None], hit[None], bins=bins, equal_mass=equal_mass)[0])


def netcal_ece(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """The reported equal-width ECE, computed by netcal.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    from netcal.metrics import ECE  # imports torch

    # One-dimensional input is the probability of being correct; netcal would take [n, 2] as that of class 1.
    return float(ECE(bins).measure(*_validated(confidence, correct, bins)))


def ece_interval(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, equal_mass: bool = False, **bootstrap: Any
) -> Interval:
    """Basic bootstrap interval of ECE over the examples; `bootstrap` goes to `bootstrap_interval`.

    ECE is biased upwards, and resamples are biased once more, so the percentiles of the resamples are mirrored at the
    estimate; the interval is cut at 0 and always holds the estimate. At n = 500 a nominal 95 % held the truth in about
    85 % of simulations for a true ECE of 0.05 and 0.1, and in half of them for 0, where `noise_floor` says more.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, hit = _validated(confidence, correct, bins)
    statistic = partial(_row_errors, bins=bins, equal_mass=equal_mass)
    estimate = float(statistic(p[None], hit[None])[0])
    resampled = bootstrap_interval(statistic, p, hit, **bootstrap)
    lower, upper = 2 * estimate - resampled.upper, 2 * estimate - resampled.lower
    return Interval(min(max(lower, 0.0), estimate), max(upper, estimate), resampled.standard_error)


def bootstrap_interval(
    statistic: Callable[..., Floats],
    *examples: Floats,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over examples drawn with replacement, the same draw for all the arrays `examples`, each [n].

    `statistic` takes the resampled arrays [R, n], one per array of `examples`, and returns its R values.

    Raises:
        ValueError: no examples, lengths that differ, fewer than two resamples, or a level outside (0, 1).
    """
    lengths = {len(column) for column in examples}
    if len(lengths) != 1 or not (n := lengths.pop()):
        raise ValueError(f"need arrays of one length above 0, got lengths {[len(column) for column in examples]}")
    if resamples < 2 or not 0 < level < 1:
        raise ValueError(f"need 2 resamples or more and a level between 0 and 1, got {resamples} and {level}")
    rng = np.random.default_rng(seed)
    values = []
    for rows in _block_sizes(resamples, n):
        drawn = rng.integers(n, size=(rows, n))
        values.append(statistic(*(column[drawn] for column in examples)))
    return _interval(np.concatenate(values), level)


def noise_floor(
    confidence: ArrayLike, bins: int = BINS, equal_mass: bool = False, simulations: int = 1000, seed: int = 0
) -> NoiseFloor:
    """Simulated ECE at these confidences when each answer is correct with exactly its confidence.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, _ = _validated(confidence, np.zeros(np.shape(confidence)), bins)
    rng = np.random.default_rng(seed)
    errors = []
    for rows in _block_sizes(simulations, p.size):
        outcomes = (rng.random((rows, p.size)) < p).astype(np.float64)
        errors.append(_row_errors(np.broadcast_to(p, outcomes.shape), outcomes, bins=bins, equal_mass=equal_mass))
    median, high = np.quantile(np.concatenate(errors), [0.5, 0.95])
    return NoiseFloor(float(median), float(high))


def _row_errors(confidence: Floats, correct: Floats, *, bins: int, equal_mass: bool) -> Floats:
    """ECE of each row of [R, n] arrays: [R].

    A bin adds count/n * |hits/count - sum of confidences/count|, that is |sum of (correct - confidence)| / n.
    """
    rows, n = confidence.shape
    cell = _bin_index(confidence, bins, equal_mass) + bins * np.arange(rows)[:, None]  # [R, n]
    gaps = np.bincount(cell.ravel(), weights=(correct - confidence).ravel(), minlength=rows * bins)  # [R * bins]
    errors: Floats = np.abs(gaps).reshape(rows, bins).sum(axis=1) / n
    return errors


def _bin_index(confidence: Floats, bins: int, equal_mass: bool) -> NDArray[np.intp]:
    """The bin of every entry of [R, n], each row binned by itself."""
    if not equal_mass:
        return np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    n = confidence.shape[1]
    by_rank = np.minimum(np.arange(n) // max(1, n // bins), bins - 1)
    index = np.empty(confidence.shape, dtype=np.intp)
    np.put_along_axis(index, np.argsort(confidence, axis=1, kind="stable"), by_rank[None], axis=1)
    return index


def _block_sizes(rows: int, n: int) -> list[int]:
    """`rows` split so that a block of [rows, n] stays within `_BLOCK` elements."""
    block = max(1, _BLOCK // n)
    return [min(block, rows - start) for start in range(0, rows, block)]


def _interval(values: Floats, level: float) -> Interval:
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(lower), float(upper), float(values.std(ddof=1)))


def _validated(confidence: ArrayLike, correct: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    """Both as float64 arrays [n]."""
    p, hit = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if p.ndim != 1 or p.shape != hit.shape:
        raise ValueError(f"confidence and correct must be lists of one length, got shapes {p.shape} and {hit.shape}")
    if not p.size:
        raise ValueError("calibration needs at least one example, got none")
    if bins < 1:
        raise ValueError(f"calibration needs at least one bin, got {bins}")
    outside = ~((p >= 0) & (p <= 1))  # NaN too
    if outside.any():
        raise ValueError(f"confidence[{outside.argmax()}] = {p[outside.argmax()]} is not a probability in [0, 1]")
    unclear = (hit != 0) & (hit != 1)
    if unclear.any():
        raise ValueError(f"correct[{unclear.argmax()}] = {hit[unclear.argmax()]} is neither 0 nor 1")
    return p, hit
