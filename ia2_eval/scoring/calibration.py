"""Calibration of (confidence, correct) pairs: bins, calibration errors and the noise floor.

The gap of a bin is |accuracy - mean confidence|. The expected calibration error (ECE) is the mean gap, weighted by the
examples of each bin; the maximum calibration error (MCE) is the greatest gap of a bin that is not empty; both from
Naeini et al. 2015. Bins are of one of two kinds:

- equal width: `bins` intervals [lower, upper) of [0, 1], the last one closed; netcal's convention.
- equal mass, as in arXiv 2509.22621: sorted by confidence (ties in the order given), n // bins examples each, the last
  bin also takes the remainder. With fewer examples than bins every example is a bin of its own, other bins are empty.

Shapes: n examples, K labels, R rows (resamples or simulated outcomes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ia2_eval.scoring.bootstrap import Floats, Statistic, Weights, block_sizes, estimate

BINS = 15
SIMULATIONS = 1000


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram. An empty bin has neither mean confidence nor accuracy."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, equal_mass: bool = False
) -> list[Bin]:
    """The `bins` bins in ascending order of confidence.

    Equal-width bins are bounded by the grid, equal-mass bins by their least and greatest confidence (NaN when empty).

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, hit = validated(confidence, correct, bins)
    index = _bin_index(p, bins, equal_mass)
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
    return estimate(ece_of(confidence, correct, bins, equal_mass), np.size(confidence))


def netcal_ece(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """The reported equal-width ECE, computed by netcal.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    from netcal.metrics import ECE  # imports torch

    # One-dimensional input is the probability of being correct; netcal would take [n, 2] as that of class 1.
    return float(ECE(bins).measure(*validated(confidence, correct, bins)))


def noise_floor(confidence: ArrayLike, bins: int = BINS) -> float:
    """The equal-width ECE that perfectly calibrated predictions show by chance alone: its median in simulations, each
    answer being correct with exactly its confidence.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, _ = validated(confidence, np.zeros(np.shape(confidence)), bins)
    in_bin = _membership(_bin_index(p, bins, equal_mass=False), bins)
    rng = np.random.default_rng(0)
    gaps = [((rng.random((rows, p.size)) < p) - p) @ in_bin for rows in block_sizes(SIMULATIONS, p.size)]
    return float(np.median(np.abs(np.concatenate(gaps)).sum(axis=1))) / p.size


def ece_of(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS, equal_mass: bool = False) -> Statistic:
    """ECE as a statistic of resamples, each with equal-mass bins of its own.

    A bin adds count/n * |hits/count - sum of confidences/count|, that is |sum of (correct - confidence)| / n.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, hit = validated(confidence, correct, bins)
    if equal_mass:
        return _equal_mass_ece(p, hit - p, bins)
    gaps = _membership(_bin_index(p, bins, equal_mass=False), bins) * (hit - p)[:, None]  # [n, bins]
    return lambda weights: np.abs(weights @ gaps).sum(axis=1) / p.size


def mce_of(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Statistic:
    """MCE over equal-width bins, as a statistic of resamples.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, hit = validated(confidence, correct, bins)
    in_bin = _membership(_bin_index(p, bins, equal_mass=False), bins)

    def statistic(weights: Weights) -> Floats:
        gaps, counts = np.abs(weights @ (in_bin * (hit - p)[:, None])), weights @ in_bin  # [R, bins]
        greatest: Floats = (gaps / np.maximum(counts, 1)).max(axis=1)
        return greatest

    return statistic


def classwise_ece_of(probabilities: ArrayLike, gold: ArrayLike, bins: int = BINS) -> Statistic:
    """Class-wise ECE as a statistic of resamples: the mean over the labels of the equal-width ECE of the label's
    probability against whether it is the gold label.

    Source: Kull et al. 2019 (arXiv 1910.12656), section 2; the static error of Nixon et al. 2019 (arXiv 1904.01685).

    Args:
        probabilities: [n, K].
        gold: index of the gold label, [n].
        bins: number of bins.

    Raises:
        ValueError: shapes that do not fit, a gold index that is no label, or see `expected_calibration_error`.
    """
    p, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(gold)
    if p.ndim != 2 or labels.shape != p.shape[:1]:
        raise ValueError(f"need probabilities [n, K] and gold labels [n], got shapes {p.shape} and {labels.shape}")
    k = p.shape[1]
    if not np.isin(labels, range(k)).all():
        raise ValueError(f"gold labels must be indices below {k}, got {sorted(set(labels.tolist()))}")
    per_label = [ece_of(p[:, label], labels == label, bins) for label in range(k)]
    return lambda weights: np.mean([statistic(weights) for statistic in per_label], axis=0)


def validated(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> tuple[Floats, Floats]:
    """Both as float64 arrays [n].

    Raises:
        ValueError: see `expected_calibration_error`.
    """
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


def _equal_mass_ece(p: Floats, gaps: Floats, bins: int) -> Statistic:
    order = np.argsort(p, kind="stable")
    ascending = gaps[order]
    starts = np.arange(min(bins, p.size)) * max(1, p.size // bins)

    def statistic(weights: Weights) -> Floats:
        # Each resample in order of confidence: every gap as often as its example was drawn.
        drawn = np.repeat(np.tile(ascending, len(weights)), weights[:, order].ravel()).reshape(weights.shape)
        errors: Floats = np.abs(np.add.reduceat(drawn, starts, axis=1)).sum(axis=1) / p.size
        return errors

    return statistic


def _bin_index(p: Floats, bins: int, equal_mass: bool) -> NDArray[np.intp]:
    """The bin of every confidence [n]."""
    if not equal_mass:
        return np.digitize(p, np.linspace(0, 1, bins + 1)[1:-1])
    index = np.empty(p.size, dtype=np.intp)
    index[np.argsort(p, kind="stable")] = np.minimum(np.arange(p.size) // max(1, p.size // bins), bins - 1)
    return index


def _membership(index: NDArray[np.intp], bins: int) -> Floats:
    """[n, bins], 1 where the example is in the bin."""
    in_bin: Floats = (index[:, None] == np.arange(bins)).astype(np.float64)
    return in_bin
