"""Bootstrap intervals, against plain loops and textbook values."""

from __future__ import annotations

import numpy as np
import pytest

from ia2_eval.scoring import bootstrap
from ia2_eval.scoring.bootstrap import Floats, Interval, Weights, bootstrap_interval, estimate, mean_of, mirrored


def test_a_mean_by_hand() -> None:
    assert estimate(mean_of([1, 0, 0, 1, 1]), 5) == pytest.approx(0.6)
    weights = np.array([[2, 0, 1], [0, 0, 3]])
    assert mean_of([0.5, 1.0, 2.0])(weights).tolist() == [1.0, 2.0]


def test_equals_a_plain_loop_whatever_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(40)
    drawn = np.random.default_rng(0).integers(40, size=(1000, 40))
    means = [np.mean([values[i] for i in row]) for row in drawn]
    expected = (*np.quantile(means, [0.025, 0.975]), np.std(means, ddof=1))
    for block in (10**6, 1000, 1):
        monkeypatch.setattr(bootstrap, "_BLOCK", block)
        assert bootstrap_interval(mean_of(values), 40) == pytest.approx(expected, abs=1e-12)


def test_a_mean_has_the_textbook_standard_error() -> None:
    values = np.random.default_rng(3).random(400)
    interval = bootstrap_interval(mean_of(values), 400)
    assert interval.standard_error == pytest.approx(values.std() / 20, rel=0.07)
    assert interval.upper - interval.lower == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.07)


def test_resamples_without_a_value_are_left_out() -> None:
    def first_weight(weights: Weights) -> Floats:
        return np.where(weights[:, 0] > 0, weights[:, 0], np.nan)

    interval = bootstrap_interval(first_weight, 3)
    assert 1 == interval.lower <= interval.upper <= 3
    nowhere = bootstrap_interval(lambda weights: np.full(len(weights), np.nan), 3)
    assert np.isnan(nowhere).all()


def test_mirrored() -> None:
    # Biased upwards, the resamples lie above the estimate, so the truth is looked for below it.
    assert mirrored(Interval(0.12, 0.18, 0.02), 0.10) == pytest.approx((0.02, 0.10, 0.02))
    assert mirrored(Interval(0.05, 0.30, 0.1), 0.10) == pytest.approx((0.0, 0.15, 0.1)), "cut at 0"
    assert mirrored(Interval(0.5, 0.97, 0.1), 0.9) == pytest.approx((0.83, 1.0, 0.1)), "cut at 1"


def test_faulty_bootstrap_is_named() -> None:
    with pytest.raises(ValueError, match="got 0"):
        bootstrap_interval(mean_of([]), 0)
