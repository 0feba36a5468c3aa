"""Tests over datasets, Holm's correction and power against hand computation and statsmodels."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats

from ia2_eval.leaderboard.significance.clustered import clusters, over_datasets
from ia2_eval.leaderboard.significance.holm import holm
from ia2_eval.leaderboard.significance.mcnemar import mcnemar
from ia2_eval.leaderboard.significance.power import (
    POWER,
    detectable,
    examples_needed,
    power,
    power_over_examples,
    units_needed,
)


def bools(text):
    return np.array([[letter == "1" for letter in row] for row in text.split()])


# over datasets


def test_clusters_of_one_size_are_the_cluster_robust_test_of_statsmodels():
    from statsmodels.api import OLS

    rng = np.random.default_rng(0)
    differences = {str(i): list(rng.normal(rng.normal(0.5, 1), 1, 6)) for i in range(5)}
    values = np.concatenate(list(differences.values()))
    fit = OLS(values, np.ones(30)).fit(cov_type="cluster", cov_kwds={"groups": np.repeat(range(5), 6)}, use_t=True)
    found = over_datasets(differences)
    assert found.p == pytest.approx(fit.pvalues[0])
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(fit.conf_int()[0]))
    assert (found.unit, found.units) == ("datasets", 5)


def test_a_dataset_counts_once_however_many_pairs_it_has():
    assert over_datasets({"a": [1.0] * 9, "b": [2.0], "c": [4.0]}).p == pytest.approx(
        stats.ttest_1samp([1, 2, 4], 0).pvalue
    )


def test_two_datasets_tell_nothing_of_others():
    """Two differences that are alike by chance would be beyond doubt with one degree of freedom."""
    assert stats.ttest_1samp([0.1, 0.101], 0).pvalue < 0.01
    for few in ({"a": [1.0, 2.0]}, {"a": [0.1], "b": [0.101]}):
        assert over_datasets(few) == ("clusters", None, None, None, "datasets", len(few), None, None)


def test_sources_that_share_a_set_are_one_cluster():
    evals = {"sst2": {"poems"}, "agn": {"bbcn"}, "fins": {"sst2", "poems"}, "x": {"y"}, "z": {"bbcn", "y"}}
    assert clusters(evals) == {
        "sst2": "fins+sst2",
        "fins": "fins+sst2",
        "agn": "agn+x+z",
        "x": "agn+x+z",
        "z": "agn+x+z",
    }


# Holm


def test_holm_by_hand_and_as_statsmodels():
    from statsmodels.stats.multitest import multipletests

    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    p_values = list(np.random.default_rng(0).random(30) ** 3)
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


# power


@pytest.mark.parametrize(("effect", "units"), [(0.5, 5), (1.0, 5), (2.0, 3), (0.3, 40), (3.0, 2), (0.0, 6)])
def test_power_without_shared_variance_is_that_of_statsmodels(effect, units):
    from statsmodels.stats.power import TTestPower

    assert power(0.02 * effect, 0.02, units) == pytest.approx(TTestPower().power(effect, units, 0.05), abs=2e-4)


def test_power_with_shared_variance_by_simulation():
    rng = np.random.default_rng(0)
    spread, shared, units, true = 0.05, 0.0003, 6, 0.07
    drawn = true + sqrt(shared) * rng.normal(size=(20000, 1)) + spread * rng.normal(size=(20000, units))
    errors = np.sqrt(drawn.var(axis=1, ddof=1) / units + shared)
    rate = (np.abs(drawn.mean(axis=1)) / errors > stats.t.ppf(0.975, units - 1)).mean()
    assert power(true, spread, units, shared) == pytest.approx(rate, abs=0.012)  # 3.5 standard errors


def test_units_needed_is_the_least_number():
    for difference, spread, shared in [(0.02, 0.05, 0.0), (0.3, 0.05, 0.0), (0.05, 0.05, 0.0002)]:
        needed = units_needed(difference, spread, shared)
        assert power(difference, spread, needed, shared) >= POWER
        assert needed == 2 or power(difference, spread, needed - 1, shared) < POWER
    from statsmodels.stats.power import TTestPower

    assert units_needed(0.02, 0.05) == np.ceil(TTestPower().solve_power(0.4, power=POWER, alpha=0.05))


def test_more_seeds_do_not_help_against_what_they_share():
    assert units_needed(0.0, 0.05) == inf
    # without any luck of seeds the power is that of a normal with variance 0.0001: 0.028 is needed
    assert units_needed(0.028, 0.05, 0.0001) == inf
    assert units_needed(0.029, 0.05, 0.0001) < inf


def test_detectable_is_found_with_the_power():
    assert power(detectable(0.05, 5, 0.0001), 0.05, 5, 0.0001) == pytest.approx(POWER, abs=1e-6)
    assert detectable(0.0, 5) is None
    assert power(0.1, 0.0, 5) == 1.0 and power(0.0, 0.0, 5) == 0.0


def test_examples_needed_by_hand():
    # d = 0.1, s = 0.5: ((1.959964 sqrt(0.26) + 0.841621 * 0.5) / 0.1)^2 = 201.6
    assert examples_needed(0.1, 0.5) == 202
    assert power_over_examples(0.1, 0.5, 202) == pytest.approx(POWER, abs=0.003)
    assert power_over_examples(0.1, 0.5, 200) < POWER
    assert examples_needed(0.0, 0.5) == inf
    assert mcnemar(bools("1111110"), bools("0000001")).units == 7
