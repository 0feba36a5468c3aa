"""Each test and formula against hand computation, enumeration, scipy or statsmodels."""

from __future__ import annotations

from itertools import product
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from ia2_eval.leaderboard.significance.crossed import shared_variance_of_means, shared_variance_of_resamples
from ia2_eval.leaderboard.significance.mcnemar import discordant, mcnemar_p
from ia2_eval.leaderboard.significance.over_seeds import effect_size, paired_p, paired_t, wilcoxon
from ia2_eval.leaderboard.significance.paired_bootstrap import (
    CalibrationErrors,
    bootstrap,
    draws,
    resampled_means,
)
from ia2_eval.leaderboard.significance.pairs import Answers, Pairs
from ia2_eval.leaderboard.significance.sign_flips import sign_flip_p
from ia2_eval.scoring.calibration import expected_calibration_error

DIFFERENCES = [0.031, 0.052, -0.008, 0.047, 0.025]


def bools(text):
    return np.array([[letter == "1" for letter in row] for row in text.split()])


# sign flips, McNemar


@pytest.mark.parametrize("values", [[3, -1, 2, 2, 0, 1], [1, 1, 1, -1], [5], [0, 0], [2, -2], [1, 2, 3, 4, -5, 6, 0]])
def test_sign_flips_are_those_of_enumeration(values):
    signs = product((1, -1), repeat=len(values))
    sums = [abs(int(np.dot(sign, values))) for sign in signs]
    expected = sum(total >= abs(sum(values)) for total in sums) / len(sums)
    assert sign_flip_p(values) == pytest.approx(expected, rel=1e-12)


def test_sign_flips_refuse_fractions():
    with pytest.raises(ValueError, match="float64"):
        sign_flip_p([0.5, 1.0])


@pytest.mark.parametrize(("b", "c"), [(12, 3), (5, 5), (1, 0), (40, 22), (0, 0), (600, 500)])
def test_mcnemar_of_one_seed_is_the_exact_one_of_statsmodels(b, c):
    from statsmodels.stats.contingency_tables import mcnemar as reference

    correct = np.array([[True] * b + [False] * c + [True] * 7])
    other = np.array([[False] * b + [True] * c + [True] * 7])
    assert discordant(correct, other) == (b, c)
    expected = reference([[7, b], [c, 0]], exact=True).pvalue if b + c else 1.0
    assert mcnemar_p(correct, other) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_one_seed_by_hand():
    # b = 6, c = 1: 2 * P(at most 1 head in 7 throws) = 2 * (1 + 7) / 2^7
    assert mcnemar_p(bools("1111110"), bools("0000001")) == pytest.approx(2 * 8 / 128)


def test_mcnemar_of_several_seeds_takes_an_example_as_one_unit():
    correct, other = bools("1110 1110 1110"), bools("0000 0000 0000")
    # net counts 3, 3, 3, 0: all three of one sign, 2 of 8 patterns; as nine answers it would be 2 of 512
    assert mcnemar_p(correct, other) == pytest.approx(2 / 8)
    assert sign_flip_p((correct.astype(int) - other).ravel()) == pytest.approx(2 / 512)
    # the net counts of two seeds that disagree cancel: 2, 0, -1
    assert mcnemar_p(bools("110 100"), bools("001 010")) == sign_flip_p([2, 0, -1]) == 1.0


def test_mcnemar_is_near_durkalskis_normal_form():
    rng = np.random.default_rng(0)
    correct, other = rng.random((3, 400)) < 0.62, rng.random((3, 400)) < 0.55
    net = correct.sum(axis=0) - other.sum(axis=0).astype(int)
    z = net.sum() / sqrt((net**2).sum())
    assert mcnemar_p(correct, other) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.1)


# over seeds


def test_paired_t_is_that_of_scipy():
    expected = stats.ttest_1samp(DIFFERENCES, 0)
    found = paired_t(DIFFERENCES)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()))
    a = np.array([0.7, 0.8, 0.75, 0.9])
    b = np.array([0.6, 0.82, 0.7, 0.8])
    assert paired_p(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_what_one_seed_or_no_spread_does_not_tell():
    assert paired_p([0.1]) is None and paired_t([0.1])[1:4] == (None, None, None)
    assert wilcoxon([0.1]).p is None
    assert effect_size([0.1]) is None
    # 0.3 - 0.1 and 0.4 - 0.2 differ by rounding only: the spread is not known, not infinitely small
    assert paired_p([0.3 - 0.1, 0.4 - 0.2, 0.2]) is None
    assert paired_p([0.0, 0.0]) == 1.0
    assert effect_size([0.0, 0.0]) is None


def test_effect_size_by_hand():
    assert effect_size([0.0, 0.1, 0.2]) == pytest.approx(0.1 / 0.1)


@pytest.mark.parametrize("count", [5, 8, 12])
def test_wilcoxon_is_the_exact_one_of_scipy(count):
    values = np.random.default_rng(count).normal(0.5, 1, count)
    assert wilcoxon(values).p == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_wilcoxon_with_ties_and_zeros_by_enumeration():
    # zero left out; magnitudes .1 .1 .2 .3 have the ranks 1.5 1.5 3 4, the second and third are negative
    found = wilcoxon([0.1, -0.1, -0.2, 0.3, 0.0]).p
    ranks = np.array([1.5, 1.5, 3, 4])
    sums = [abs((np.array(signs) * ranks).sum()) for signs in product((1, -1), repeat=4)]
    assert found == pytest.approx(np.mean([total >= abs(1.5 - 1.5 - 3 + 4) for total in sums]))


def test_wilcoxon_of_five_seeds_is_never_significant():
    assert wilcoxon([0.1, 0.2, 0.3, 0.4, 0.5]).p == 2 / 2**5
    assert wilcoxon([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).p == 2 / 2**6


# over seeds and examples


def test_shared_variance_by_mean_squares():
    """(MS of examples - MS of seeds by examples) / (S n), from a two-way table without replication."""
    values = np.random.default_rng(1).normal(size=(4, 30)) + 2 * np.random.default_rng(2).normal(size=30)
    seeds, n = values.shape
    of_example, of_seed, mean = values.mean(axis=0), values.mean(axis=1, keepdims=True), values.mean()
    examples = seeds * ((of_example - mean) ** 2).sum() / (n - 1)
    rest = ((values - of_example - of_seed + mean) ** 2).sum() / ((n - 1) * (seeds - 1))
    assert shared_variance_of_means(values) == pytest.approx((examples - rest) / (seeds * n))


def test_shared_variance_is_the_mean_covariance_of_two_seeds():
    values = np.random.default_rng(0).normal(size=(3, 40)) + np.random.default_rng(5).normal(size=40)
    covariances = np.cov(values)
    expected = np.mean([covariances[0, 1], covariances[0, 2], covariances[1, 2]])
    assert shared_variance_of_resamples(values) == pytest.approx(expected)
    assert shared_variance_of_means(values) == pytest.approx(expected / 40)
    assert shared_variance_of_means(values[:1]) == 0.0  # one seed
    assert shared_variance_of_means(np.array([[1.0, -1.0], [-1.0, 1.0]])) == 0.0  # negative


def test_resamples_show_the_shared_variance_of_means():
    values = np.random.default_rng(0).normal(size=(3, 200)) + np.random.default_rng(5).normal(size=200)
    resampled = np.array([resampled_means(of_seed) for of_seed in values])
    assert shared_variance_of_resamples(resampled) == pytest.approx(shared_variance_of_means(values), rel=0.15)


def test_what_seeds_share_widens_the_t_test():
    plain, crossed = paired_t(DIFFERENCES), paired_t(DIFFERENCES, "crossed", shared=0.0004)
    mean, variance = np.mean(DIFFERENCES), np.var(DIFFERENCES, ddof=1)
    t = mean / sqrt(variance / 5 + 0.0004)
    assert crossed.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert crossed.ci_high - crossed.ci_low == pytest.approx(2 * stats.t.ppf(0.975, 4) * sqrt(variance / 5 + 0.0004))
    assert crossed.p > plain.p and crossed.needed > plain.needed and crossed.detectable > plain.detectable


# bootstrap


def test_bootstrap_of_a_mean_has_its_standard_error():
    values = np.random.default_rng(0).normal(0.1, 1, 300)
    found = bootstrap(values.mean(), resampled_means(values), 300)
    error = values.std() / sqrt(300)
    assert (found.ci_high - found.ci_low) / 2 / 1.959964 == pytest.approx(error, rel=0.08)
    assert found.ci_low + found.ci_high == pytest.approx(2 * values.mean())
    assert found.p == pytest.approx(2 * stats.norm.sf(values.mean() / error), abs=0.03)
    assert found.detectable == pytest.approx((1.959964 + 0.841621) * error, rel=0.08)
    assert found.needed == pytest.approx(300 * (found.detectable / values.mean()) ** 2, abs=1)


def test_bootstrap_without_spread():
    assert bootstrap(0.0, np.zeros(9), 5).p == 1.0
    assert bootstrap(1.0, np.ones(9), 5).p is None


def test_draws_are_fixed_and_of_n_examples():
    assert (draws(7).sum(axis=1) == 7).all()
    assert draws(7).shape == (1000, 7)
    assert draws(7).mean() == pytest.approx(1)


@pytest.mark.parametrize("bins", ["equal-width", "equal-mass"])
@pytest.mark.parametrize("unknown", [0, 9])
def test_resampled_calibration_errors_are_those_of_the_drawn_examples(bins, unknown):
    rng = np.random.default_rng(3)
    confidence, correct = rng.random(40), rng.random(40) < 0.6
    confidence[:unknown] = np.nan
    known = ~np.isnan(confidence)
    errors = CalibrationErrors(bins, resamples=20)
    found = errors.resampled(confidence, correct, known)
    for weights, value in zip(draws(40, 20), found, strict=True):
        drawn = np.repeat(np.arange(40), np.where(known, weights, 0))
        expected = expected_calibration_error(confidence[drawn], correct[drawn], equal_mass=bins == "equal-mass")
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("bins", ["equal-width", "equal-mass"])
def test_resamples_without_a_known_confidence_are_left_out(bins):
    known = np.array([[True] + [False] * 4])
    one = Answers(np.ones((1, 5), dtype=bool), np.where(known, 0.8, np.nan), np.ones((1, 5), dtype=bool))
    other = Answers(np.zeros((1, 5), dtype=bool), np.full((1, 5), 0.8), np.zeros((1, 5), dtype=bool))
    errors = CalibrationErrors(bins)
    drawn = errors.resampled_differences(Pairs((0,), one, other, 0, ()))
    assert drawn.shape == (1, (draws(5)[:, 0] > 0).sum())
    assert drawn == pytest.approx(0.2 - 0.8)
    assert errors.differences(Pairs((0,), one, other, 0, ())) == pytest.approx([0.2 - 0.8])
