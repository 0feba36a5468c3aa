"""How well confidence tells right answers from wrong ones: AUROC and selective accuracy. Shapes: n examples, R rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ia2_eval.scoring.bootstrap import Floats, Statistic, Weights
from ia2_eval.scoring.calibration import validated


def auroc_of(confidence: ArrayLike, correct: ArrayLike) -> Statistic:
    """Chance that a right answer, drawn at random, has more confidence than a wrong one, as a statistic of resamples.

    Equal confidence counts half. It is the area under the curve of true against false positive rates; 0.5 is chance,
    and NaN (not defined) where all answers are right or all are wrong.

    Raises:
        ValueError: see `expected_calibration_error`.
    """
    p, hit = validated(confidence, correct)

    def statistic(weights: Weights) -> Floats:
        right, wrong = _per_confidence(p, weights * hit), _per_confidence(p, weights * (1 - hit))  # [R, groups]
        above = right.sum(axis=1, keepdims=True) - right.cumsum(axis=1)  # right answers with more confidence
        pairs = right.sum(axis=1) * wrong.sum(axis=1)
        ordered = ((above + right / 2) * wrong).sum(axis=1)
        area: Floats = np.divide(ordered, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        return area

    return statistic


def selective_accuracy_of(confidence: ArrayLike, correct: ArrayLike, coverage: float) -> Statistic:
    """Accuracy of the `coverage` * n most confident answers, 0 < coverage <= 1, as a statistic of resamples.

    Where several have the confidence at the threshold, it is the expected accuracy when the ones to keep are drawn
    among them at random; a fraction of an answer counts as that fraction.

    Raises:
        ValueError: a coverage outside (0, 1], or see `expected_calibration_error`.
    """
    p, hit = validated(confidence, correct)
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage must be above 0 and at most 1, got {coverage}")
    kept = coverage * p.size

    def statistic(weights: Weights) -> Floats:
        # [R, groups], the most confident first.
        answers, right = _per_confidence(-p, weights.astype(np.float64)), _per_confidence(-p, weights * hit)
        before = answers.cumsum(axis=1) - answers
        taken = np.clip(kept - before, 0, answers)
        accuracy: Floats = (taken * right / np.maximum(answers, 1)).sum(axis=1) / kept
        return accuracy

    return statistic


def _per_confidence(key: Floats, values: Floats) -> Floats:
    """Sums of [R, n] over examples of equal key [n], in ascending order of it: [R, groups]."""
    order = np.argsort(key, kind="stable")
    ascending = key[order]
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    sums: Floats = np.add.reduceat(values[:, order], starts, axis=1)
    return sums
