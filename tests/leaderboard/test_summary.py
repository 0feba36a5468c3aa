from __future__ import annotations

from statistics import pstdev, stdev

import pytest

from ia2_eval.leaderboard.results.summary import summarise


def test_student_interval_by_hand():
    # mean 0.7, sample std 0.1, t(0.975, 2) = 4.302653 (table): half width 4.302653 * 0.1 / sqrt(3) = 0.248414
    summary = summarise([0.6, 0.7, 0.8], ddof=1)
    assert summary == pytest.approx((0.7, 0.1, 0.7 - 0.248414, 0.7 + 0.248414, "t"), abs=1e-6)


def test_population_std_leaves_the_interval_as_it_is():
    values = [0.61, 0.7, 0.84, 0.55, 0.7]
    sample, population = summarise(values, ddof=1), summarise(values, ddof=0)
    assert sample.std == pytest.approx(stdev(values))
    assert population.std == pytest.approx(pstdev(values))
    assert sample[2:] == population[2:]


def test_interval_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = [0.61, 0.7, 0.84, 0.55, 0.7]
    summary = summarise(values, ddof=1)
    expected = stats.t.interval(0.95, 4, loc=sum(values) / 5, scale=stats.sem(values))
    assert (summary.ci_low, summary.ci_high) == pytest.approx(expected)


def test_one_value_has_the_interval_over_examples_and_no_sample_std():
    assert summarise([0.5], ddof=1, bootstrap=(0.4, 0.6)) == (0.5, None, 0.4, 0.6, "bootstrap")
    assert summarise([0.5], ddof=0) == (0.5, 0.0, None, None, None)


def test_several_values_ignore_the_interval_over_examples():
    assert summarise([0.5, 0.5], ddof=1, bootstrap=(0.4, 0.6)) == (0.5, 0.0, 0.5, 0.5, "t")
