"""AUROC and selective accuracy, against hand computations and loops over pairs and orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from ia2_eval.scoring.bootstrap import bootstrap_interval, estimate
from ia2_eval.scoring.discrimination import auroc_of, selective_accuracy_of


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    return estimate(auroc_of(confidence, correct), np.size(confidence))


def selective_accuracy(confidence: ArrayLike, correct: ArrayLike, coverage: float) -> float:
    return estimate(selective_accuracy_of(confidence, correct, coverage), np.size(confidence))


def test_auroc_by_hand() -> None:
    assert auroc([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0]) == 1.0
    assert auroc([0.9, 0.8, 0.3, 0.1], [0, 0, 1, 1]) == 0.0
    assert auroc([0.5, 0.5, 0.5], [1, 0, 1]) == 0.5
    # Pairs (right, wrong): (0.9, 0.6) and (0.9, 0.2) ordered, (0.6, 0.6) a tie, (0.6, 0.2) ordered.
    assert auroc([0.9, 0.6, 0.6, 0.2], [1, 1, 0, 0]) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("correct", [[1, 1], [0, 0]])
def test_auroc_of_one_kind_is_not_defined(correct: list[int]) -> None:
    assert np.isnan(auroc([0.2, 0.7], correct))
    assert np.isnan(bootstrap_interval(auroc_of([0.2, 0.7], correct), 2)).all()


def pairwise(confidence: list[float], correct: list[float]) -> float:
    right = [p for p, hit in zip(confidence, correct, strict=True) if hit]
    wrong = [p for p, hit in zip(confidence, correct, strict=True) if not hit]
    if not right or not wrong:
        return float("nan")
    return float(np.mean([(p > q) + (p == q) / 2 for p, q in itertools.product(right, wrong)]))


def test_auroc_equals_a_loop_over_pairs_and_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        n = int(rng.integers(2, 40))
        confidence = rng.integers(6, size=n) / 5 if rng.random() < 0.5 else rng.random(n)
        correct = rng.integers(2, size=n).astype(float)
        expected = pairwise(confidence.tolist(), correct.tolist())
        assert auroc(confidence, correct) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        if 0 < correct.sum() < n:
            assert expected == pytest.approx(roc_auc_score(correct, confidence), abs=1e-12)


def test_resamples_of_auroc_equal_a_loop() -> None:
    rng = np.random.default_rng(1)
    confidence, correct = rng.integers(8, size=12) / 7, rng.integers(2, size=12).astype(float)
    drawn = np.random.default_rng(0).integers(12, size=(1000, 12))
    loop = [value for row in drawn if not np.isnan(value := pairwise(confidence[row].tolist(), correct[row].tolist()))]
    interval = bootstrap_interval(auroc_of(confidence, correct), 12)
    assert interval == pytest.approx((*np.quantile(loop, [0.025, 0.975]), np.std(loop, ddof=1)), abs=1e-12)


def test_selective_accuracy_by_hand() -> None:
    confidence, correct = [0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0]
    assert selective_accuracy(confidence, correct, 0.25) == 1.0
    assert selective_accuracy(confidence, correct, 0.5) == 1.0
    assert selective_accuracy(confidence, correct, 0.75) == pytest.approx(2 / 3)
    assert selective_accuracy(confidence, correct, 1.0) == 0.5
    # Two and a half answers of five: those with 0.9 and 0.8, and half of the one with 0.7.
    assert selective_accuracy([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 1, 1], 0.5) == pytest.approx(1.5 / 2.5)


def test_ties_at_the_threshold_count_as_drawn_at_random() -> None:
    # One sure answer, wrong, and one of three with 0.6, two of which are right.
    assert selective_accuracy([0.9, 0.6, 0.6, 0.6], [0, 1, 0, 1], 0.5) == pytest.approx((0 + 2 / 3) / 2)


def test_selective_accuracy_is_the_mean_over_all_ways_to_break_ties() -> None:
    rng = np.random.default_rng(2)
    for _ in range(15):
        confidence, correct = rng.integers(3, size=6) / 2, rng.integers(2, size=6)
        for kept in range(1, 7):
            broken = [
                np.mean([correct[i] for i in sorted(order, key=lambda i: -confidence[i])[:kept]])
                for order in itertools.permutations(range(6))
            ]
            assert selective_accuracy(confidence, correct, kept / 6) == pytest.approx(np.mean(broken), abs=1e-12)


def test_resamples_of_selective_accuracy_equal_a_loop() -> None:
    rng = np.random.default_rng(4)
    confidence, correct = rng.integers(5, size=20) / 4, rng.integers(2, size=20)
    drawn = np.random.default_rng(0).integers(20, size=(1000, 20))
    loop = [selective_accuracy(confidence[row], correct[row], 0.8) for row in drawn]
    interval = bootstrap_interval(selective_accuracy_of(confidence, correct, 0.8), 20)
    assert interval == pytest.approx((*np.quantile(loop, [0.025, 0.975]), np.std(loop, ddof=1)), abs=1e-12)


@pytest.mark.parametrize("coverage", [0.0, -0.5, 1.01, float("nan")])
def test_a_coverage_that_is_none_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must be"):
        selective_accuracy([0.5], [1], coverage)


def test_faulty_pairs_are_refused() -> None:
    for measure in (auroc, lambda *pairs: selective_accuracy(*pairs, 0.5)):
        with pytest.raises(ValueError, match="not a probability"):
            measure([1.5, 0.5], [1, 0])
        with pytest.raises(ValueError, match="at least one example"):
            measure([], [])
