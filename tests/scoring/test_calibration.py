"""Calibration measures, against hand computations, netcal and plain loops."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from netcal.metrics import MCE
from numpy.typing import ArrayLike

from ia2_eval.scoring.bootstrap import Floats, bootstrap_interval, estimate, mirrored
from ia2_eval.scoring.calibration import (
    Bin,
    classwise_ece_of,
    ece_of,
    expected_calibration_error,
    mce_of,
    netcal_ece,
    noise_floor,
    reliability_bins,
)


def random_set(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Confidences of several kinds, many exactly on bin edges, and outcomes."""
    grids = (20, 100, 15, 1, 10**9)
    confidence = rng.integers(0, (grid := rng.choice(grids)) + 1, size=n) / grid
    return confidence, (rng.random(n) < rng.random()).astype(np.float64)


def mce(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    return estimate(mce_of(confidence, correct, bins), np.size(confidence))


def classwise_ece(probabilities: ArrayLike, gold: ArrayLike, bins: int = 15) -> float:
    return estimate(classwise_ece_of(probabilities, gold, bins), np.size(gold))


def plain_ece(confidence: Floats, correct: Floats, bins: int, equal_mass: bool) -> float:
    """ECE as its definition reads."""
    pairs = sorted(zip(confidence, correct, strict=True), key=lambda pair: pair[0])
    if equal_mass:
        size = max(1, len(pairs) // bins)
        groups = [pairs[b * size : (b + 1) * size if b < bins - 1 else None] for b in range(bins)]
    else:
        edges = np.linspace(0, 1, bins + 1)
        groups = [
            [pair for pair in pairs if edges[b] <= pair[0] and (pair[0] < edges[b + 1] or b == bins - 1)]
            for b in range(bins)
        ]
    means = [(len(group), *np.mean(group, axis=0)) for group in groups if group]
    return float(sum(count / len(pairs) * abs(accuracy - mean) for count, mean, accuracy in means))


def test_by_hand() -> None:
    confidence, correct = [0.1, 0.5, 0.6, 0.9, 1.0], [0, 1, 0, 1, 1]
    # Two equal-width bins: {0.1} and, 0.5 belonging to the upper, {0.5, 0.6, 0.9, 1.0} with mean 0.75, accuracy 0.75.
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(0.1 / 5)
    # Two equal-mass bins of 5 // 2: {0.1, 0.5} with mean 0.3, accuracy 0.5 and {0.6, 0.9, 1.0}, mean 5/6, accuracy 2/3.
    assert expected_calibration_error(confidence, correct, bins=2, equal_mass=True) == pytest.approx(
        2 / 5 * 0.2 + 3 / 5 * (1 / 6)
    )
    assert expected_calibration_error(confidence, correct, bins=1) == pytest.approx(abs(3.1 / 5 - 3 / 5))


def test_reliability_bins_by_hand() -> None:
    confidence, correct = [0.5, 1.0, 0.25, 0.5], [1, 1, 0, 0]
    assert reliability_bins(confidence, correct, bins=4) == [
        Bin(0.0, 0.25, 0, None, None),
        Bin(0.25, 0.5, 1, 0.25, 0.0),
        Bin(0.5, 0.75, 2, 0.5, 0.5),
        Bin(0.75, 1.0, 1, 1.0, 1.0),
    ]
    low, high = reliability_bins(confidence, correct, bins=2, equal_mass=True)
    assert low == Bin(0.25, 0.5, 2, 0.375, 0.5)
    assert high == Bin(0.5, 1.0, 2, 0.75, 0.5)


def test_equal_mass_bins_of_the_paper_take_the_remainder_last() -> None:
    sizes = [b.count for b in reliability_bins(np.linspace(0, 1, 500), np.ones(500), equal_mass=True)]
    assert sizes == [33] * 14 + [38]
    sizes = [b.count for b in reliability_bins(np.linspace(0, 1, 288), np.ones(288), equal_mass=True)]
    assert sizes == [19] * 14 + [22]


def test_with_fewer_examples_than_bins_each_example_is_an_equal_mass_bin() -> None:
    assert expected_calibration_error([0.2, 0.9], [1, 1], bins=15, equal_mass=True) == pytest.approx((0.8 + 0.1) / 2)
    table = reliability_bins([0.2, 0.9], [1, 1], bins=3, equal_mass=True)
    assert [b.count for b in table] == [1, 1, 0]
    assert np.isnan(table[2].lower) and table[2].confidence is None and table[2].accuracy is None


def test_equals_netcal() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        confidence, correct = random_set(rng, int(rng.integers(1, 120)))
        bins = int(rng.choice([1, 2, 5, 10, 15, 20]))
        own = expected_calibration_error(confidence, correct, bins)
        assert own == pytest.approx(netcal_ece(confidence, correct, bins), abs=1e-12)
        greatest = MCE(bins).measure(confidence, correct)
        assert mce(confidence, correct, bins) == pytest.approx(greatest, abs=1e-12)


def test_equals_netcal_on_the_edges() -> None:
    for bins in (1, 2, 10, 15):
        edges = np.linspace(0, 1, bins + 1)
        beside = np.clip(np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)]), 0, 1)
        for confidence in (edges, beside, np.zeros(3), np.ones(3)):
            for correct in (np.zeros(len(confidence)), np.ones(len(confidence)), np.arange(len(confidence)) % 2):
                reported = netcal_ece(confidence, correct, bins)
                assert expected_calibration_error(confidence, correct, bins) == pytest.approx(reported, abs=1e-12)
                greatest = MCE(bins).measure(confidence, correct.astype(float))
                assert mce(confidence, correct, bins) == pytest.approx(greatest, abs=1e-12)


def test_mce_by_hand() -> None:
    # {0.1, 0.3}: accuracy 0.5 against 0.2; {0.6}: 1 against 0.6; {0.9, 1.0}: 0.5 against 0.95. Bins of width 1/3.
    confidence, correct = [0.1, 0.3, 0.6, 0.9, 1.0], [1, 0, 1, 0, 1]
    assert mce(confidence, correct, bins=3) == pytest.approx(0.45)
    assert mce(confidence, correct, bins=1) == pytest.approx(abs(2.9 / 5 - 3 / 5))


def test_classwise_by_hand() -> None:
    probabilities, gold = [[0.8, 0.2, 0.0], [0.6, 0.1, 0.3]], [0, 2]
    # One bin: label 0 has 0.7 against 1/2, label 1 has 0.15 against 0, label 2 has 0.15 against 1/2.
    assert classwise_ece(probabilities, gold, bins=1) == pytest.approx((0.2 + 0.15 + 0.35) / 3)
    # Two bins: label 0 as before; label 1 as before; label 2 as before, for 0 and 0.3 are in one.
    assert classwise_ece(probabilities, gold, bins=2) == pytest.approx((0.2 + 0.15 + 0.35) / 3)
    # Ten bins, one example each but for label 1, whose 0.2 and 0.1 are in two: gaps 0.2, 0.6; 0.2, 0.1; 0, 0.7.
    assert classwise_ece(probabilities, gold, bins=10) == pytest.approx((0.4 + 0.15 + 0.35) / 3)


def test_classwise_is_the_mean_over_labels() -> None:
    rng = np.random.default_rng(8)
    for _ in range(50):
        n, k, bins = int(rng.integers(1, 60)), int(rng.integers(2, 9)), int(rng.integers(1, 20))
        probabilities, gold = rng.dirichlet(np.ones(k), size=n), rng.integers(k, size=n)
        errors = [plain_ece(probabilities[:, j], (gold == j).astype(float), bins, False) for j in range(k)]
        assert classwise_ece(probabilities, gold, bins) == pytest.approx(np.mean(errors), abs=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "gold", "message"),
    [
        ([[0.5, 0.5]], [0, 1], r"shapes \(1, 2\) and \(2,\)"),
        ([0.5, 0.5], [0, 1], "need probabilities"),
        ([[0.5, 0.5]], [2], r"below 2, got \[2\]"),
        ([[0.5, 1.5]], [0], "not a probability"),
    ],
)
def test_faulty_distributions_are_named(probabilities: list[list[float]], gold: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classwise_ece(probabilities, gold)


@pytest.mark.parametrize("equal_mass", [False, True])
def test_equals_the_definition(equal_mass: bool) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        confidence, correct = random_set(rng, int(rng.integers(1, 60)))
        bins = int(rng.integers(1, 20))
        own = expected_calibration_error(confidence, correct, bins, equal_mass)
        assert own == pytest.approx(plain_ece(confidence, correct, bins, equal_mass), abs=1e-12)
        table = reliability_bins(confidence, correct, bins, equal_mass)
        gaps = [
            b.count * abs(b.accuracy - b.confidence)
            for b in table
            if b.accuracy is not None and b.confidence is not None
        ]
        assert own == pytest.approx(sum(gaps) / len(confidence), abs=1e-12)


def drawn_sorted(n: int) -> list[list[int]]:
    """The examples of each resample in ascending order, which is how ties in confidence are broken."""
    return [sorted(row) for row in np.random.default_rng(0).integers(n, size=(1000, n)).tolist()]


@pytest.mark.parametrize("equal_mass", [False, True])
def test_resamples_of_ece_equal_a_plain_loop(equal_mass: bool) -> None:
    confidence, correct = random_set(np.random.default_rng(2), 20)
    loop = [plain_ece(confidence[row], correct[row], 15, equal_mass) for row in drawn_sorted(20)]
    interval = bootstrap_interval(ece_of(confidence, correct, equal_mass=equal_mass), 20)
    assert interval == pytest.approx((*np.quantile(loop, [0.025, 0.975]), np.std(loop, ddof=1)), abs=1e-12)


def test_resamples_of_mce_and_classwise_ece_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(9)
    probabilities, gold = rng.dirichlet(np.ones(3), size=30), rng.integers(3, size=30)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    drawn = drawn_sorted(30)
    greatest = [MCE(5).measure(confidence[row], correct[row].astype(float)) for row in drawn]
    classwise = [classwise_ece(probabilities[row], gold[row], bins=5) for row in drawn]
    for statistic, loop in (
        (mce_of(confidence, correct, 5), greatest),
        (classwise_ece_of(probabilities, gold, 5), classwise),
    ):
        low, high = np.quantile(loop, [0.025, 0.975])
        expected = pytest.approx((low, high, np.std(loop, ddof=1)), abs=1e-12)
        assert bootstrap_interval(statistic, 30) == expected


def test_the_interval_of_calibrated_predictions_may_hold_zero_and_holds_the_estimate() -> None:
    """The percentiles of resampled ECE exclude 0 every time, because ECE is biased upwards."""
    rng = np.random.default_rng(3)
    holds_zero = 0
    for _ in range(100):
        confidence = rng.beta(5, 2, size=500)
        correct = rng.random(500) < confidence
        error = expected_calibration_error(confidence, correct)
        interval = mirrored(bootstrap_interval(ece_of(confidence, correct), 500), error)
        assert interval.lower <= error <= interval.upper
        holds_zero += interval.lower == 0
    assert holds_zero >= 40


@pytest.mark.parametrize("equal_mass", [False, True])
def test_bootstrap_is_fast(equal_mass: bool) -> None:
    confidence, correct = random_set(np.random.default_rng(4), 500)
    start = time.process_time()
    bootstrap_interval(ece_of(confidence, correct, equal_mass=equal_mass), 500)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize(("n", "median"), [(100, 0.085), (500, 0.040), (2000, 0.020)])
def test_noise_floor_of_a_known_distribution(n: int, median: float) -> None:
    """Values of an independent simulation: 10 bins, confidences Beta(5, 2)."""
    floor = noise_floor(np.random.default_rng(5).beta(5, 2, size=n), bins=10)
    assert floor == pytest.approx(median, rel=0.1)


def test_noise_floor_of_certain_answers_is_zero_and_repeats() -> None:
    assert noise_floor([1.0, 0.0, 1.0]) == 0.0
    assert noise_floor([0.5] * 9) == noise_floor([0.5] * 9) > 0


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "message"),
    [
        ([], [], 15, "at least one example"),
        ([0.5], [1, 0], 15, r"shapes \(1,\) and \(2,\)"),
        ([[0.5, 0.5]], [[1, 0]], 15, "shapes"),
        ([0.5, float("nan")], [1, 0], 15, r"confidence\[1\] = nan"),
        ([0.5, 1.01], [1, 0], 15, r"confidence\[1\] = 1.01"),
        ([-0.1], [1], 15, r"confidence\[0\] = -0.1"),
        ([0.5, 0.5], [1, 0.5], 15, r"correct\[1\] = 0.5"),
        ([0.5], [float("nan")], 15, r"correct\[0\] = nan"),
        ([0.5], [1], 0, "at least one bin, got 0"),
    ],
)
def test_faulty_input_is_named(confidence: list[float], correct: list[float], bins: int, message: str) -> None:
    for measure in (
        expected_calibration_error,
        mce,
        reliability_bins,
        netcal_ece,
    ):
        with pytest.raises(ValueError, match=message):
            measure(confidence, correct, bins)


@pytest.mark.parametrize("module", ["calibration", "metrics", "lm_eval_metrics"])
def test_importing_scoring_imports_nothing_heavy(module: str) -> None:
    heavy = {"netcal", "torch", "scipy", "lm_eval", "math_verify"}
    code = f"import sys, ia2_eval.scoring.{module}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
