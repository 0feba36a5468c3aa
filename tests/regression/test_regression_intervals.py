from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ia2_eval.regression.intervals import accuracy_difference, statistic_difference
from ia2_eval.scoring.bootstrap import mean_of
from ia2_eval.scoring.calibration import ece_of


def test_one_model_is_the_interval_of_agresti_and_min() -> None:
    """b = 6 right answers lost, c = 2 won, of 50: half an observation is added to each cell of the paired table."""
    before = np.array([[True] * 26 + [False] * 24])
    after = before.copy()
    after[0, :6] = False
    after[0, -2:] = True
    b, c, n = 6.5, 2.5, 52
    found = accuracy_difference(before, after)
    assert found.value == pytest.approx(-4 / 50)
    assert found.error == pytest.approx(np.sqrt((b + c) - (c - b) ** 2 / n) / n)
    assert found.bound(upper=True, level=0.975) == pytest.approx(-0.08 + 1.959964 * found.error)


def test_no_difference_is_not_certainty() -> None:
    same = np.ones((1, 100), dtype=bool)
    assert accuracy_difference(same, same).bound(upper=False, level=0.95) == pytest.approx(-1.644854 / 102)


def test_over_seeds_it_is_students() -> None:
    rng = np.random.default_rng(0)
    before = rng.random((4, 500)) < 0.8
    after = before.copy()
    for seed, lost in enumerate((0, 60, 10, 120)):
        after[seed, np.flatnonzero(before[seed])[:lost]] = False
    by_seed = after.mean(1) - before.mean(1)
    interval = stats.ttest_1samp(by_seed, 0).confidence_interval(0.9)
    found = accuracy_difference(before, after)
    assert found.bound(upper=False, level=0.95) == pytest.approx(interval.low)
    assert found.bound(upper=True, level=0.95) == pytest.approx(interval.high)


def test_the_mean_as_a_statistic_has_the_error_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random((2, 400)), rng.random((2, 400))
    found = statistic_difference([mean_of(row) for row in before], [mean_of(row) for row in after], 400)
    differences = (after - before).mean(axis=0)
    assert found.value == pytest.approx(differences.mean())
    assert found.error == pytest.approx(differences.std(ddof=1) / 20, rel=0.1)
    assert found.by_seed == pytest.approx((after - before).mean(axis=1))


def test_the_same_answers_have_the_same_ece() -> None:
    rng = np.random.default_rng(2)
    confidence, correct = rng.random(100), rng.random(100) < 0.5
    found = statistic_difference([ece_of(confidence, correct)], [ece_of(confidence, correct)], 100)
    assert (found.value, found.error) == (0, 0)
