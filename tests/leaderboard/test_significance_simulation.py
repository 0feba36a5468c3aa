"""False positives and power in simulations with fixed seeds; `bench/significance.py` makes the larger table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulated_outcomes import World, dataset_differences, rejection_rate, simulate

from ia2_eval.leaderboard.significance.clustered import cluster_means
from ia2_eval.leaderboard.significance.crossed import shared_variance_of_means
from ia2_eval.leaderboard.significance.over_seeds import paired_p
from ia2_eval.leaderboard.significance.power import power

SIMULATIONS = 400
ABOVE = int(stats.binom.ppf(0.999, SIMULATIONS, 0.05)) / SIMULATIONS
"""A test with a true level of 5 % is significant more often than this in one of a thousand runs: 35 of 400."""
NEAR = 0.085
"""Of a power: more than three standard errors of a share of 400."""

CHECKPOINTS = World(training_run=0.0)
LUCK_OF_SEEDS = World(method_example=0.0)


def test_tolerance():
    assert ABOVE == 35 / 400
    assert 3.3 * (0.5 * 0.5 / SIMULATIONS) ** 0.5 < NEAR


@pytest.mark.parametrize("seeds", [1, 4])
def test_tests_over_examples_keep_their_level(seeds):
    rejected = simulate(CHECKPOINTS, seeds, 100, SIMULATIONS).rejected
    assert rejected["mcnemar"] <= ABOVE
    assert rejected["bootstrap"] <= ABOVE
    assert rejected["mcnemar"] >= 0.01  # it is alive


@pytest.mark.parametrize("seeds", [3, 6])
def test_tests_over_seeds_keep_their_level(seeds):
    rejected = simulate(LUCK_OF_SEEDS, seeds, 100, SIMULATIONS).rejected
    for test in ("t", "wilcoxon", "crossed"):
        assert rejected[test] <= ABOVE
    assert rejected["t"] >= 0.01
    # of the methods, not of the checkpoints, a test over examples says nothing
    assert rejected["mcnemar"] > 0.2 and rejected["McNemar of all answers"] > 0.2


@pytest.mark.parametrize("world", [CHECKPOINTS, World()])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_test_over_seeds_and_examples_keeps_its_level(world, seeds):
    assert simulate(world, seeds, 100, SIMULATIONS).rejected["crossed"] <= ABOVE


def test_one_evaluation_beside_every_seed_is_no_more_than_one():
    """As `no_icl`: its luck with the examples is in the differences of all seeds, and `crossed` counts it there."""
    rejected = {"t": 0, "crossed": 0}
    for seed in range(SIMULATIONS):
        # The same examples for both; the one evaluation has no luck of a training run.
        trained = World(training_set=0.0).draw(np.random.default_rng(seed), 5, 100).answers.correct
        base = World(training_set=0.0, training_run=0.0).draw(np.random.default_rng(seed), 5, 100).against.correct[:1]
        values = trained - base.astype(float)
        means = values.mean(axis=1)
        rejected["t"] += (paired_p(means) or 1.0) < 0.05
        rejected["crossed"] += (paired_p(means, shared_variance_of_means(values)) or 1.0) < 0.05
    assert rejected["crossed"] / SIMULATIONS <= ABOVE
    assert rejected["t"] / SIMULATIONS > ABOVE  # it asks of this very set only


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_tests_of_calibration_keep_their_level(sharpness):
    fixed = World(training_run=0.0, sharpness=(sharpness, sharpness))
    assert simulate(fixed, 1, 200, SIMULATIONS, "ECE").rejected["bootstrap"] <= ABOVE
    rejected = simulate(World(sharpness=(sharpness, sharpness)), 4, 100, SIMULATIONS, "ECE").rejected
    assert rejected["crossed"] <= ABOVE
    assert rejected["t"] <= ABOVE


@pytest.mark.parametrize(
    ("world", "seeds", "test"),
    [
        (World((0.8, 0.5), training_run=0.0), 1, "mcnemar"),
        (World((0.8, 0.5), training_run=0.0), 1, "bootstrap"),
        (World((1.0, 0.5), method_example=0.0), 6, "t"),
        (World((1.0, 0.5)), 6, "crossed"),
    ],
)
def test_power_is_what_the_formula_says(world, seeds, test):
    found = simulate(world, seeds, 200, SIMULATIONS)
    assert found.difference == pytest.approx(world.accuracy(0) - world.accuracy(1), abs=0.015)
    assert 0.3 < found.predicted[test] < 0.9
    assert found.rejected[test] == pytest.approx(found.predicted[test], abs=NEAR)


def test_over_datasets_the_level_is_kept_and_power_as_predicted():
    def p(rng, pairs, effect):
        return paired_p(cluster_means(dataset_differences(rng, pairs, effect, 0.03, 0.05)))

    for pairs in ((4,) * 3, (4,) * 6, (7, 7, 2, 2, 1, 1)):
        assert rejection_rate(lambda rng, pairs=pairs: p(rng, pairs, 0.0), SIMULATIONS) <= ABOVE
    # variance of a dataset's mean: its own effect, the luck of five seeds, noise of 4 x 5 pairs
    spread = (0.03**2 + 0.05**2 / 5 + 0.05**2 / 20) ** 0.5
    rate = rejection_rate(lambda rng: p(rng, (4,) * 6, 0.05), SIMULATIONS)
    assert rate == pytest.approx(power(0.05, spread, 6), abs=NEAR)


def test_all_pairs_as_if_independent_exceed_the_level():
    """What a plain paired t-test over all datasets, N and seeds does."""

    def p(rng):
        found = dataset_differences(rng, (4,) * 6, 0.0, 0.03, 0.05)
        return paired_p([value for values in found.values() for value in values])

    assert rejection_rate(p, SIMULATIONS) > 0.2
