from __future__ import annotations

from math import inf

import pytest
from synthetic_run import make_record

from ia2_eval.leaderboard.results.groups import Candidate, group_records
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, lowest_mean


def test_lowest_mean_takes_the_lowest_and_the_first_on_a_tie():
    assert lowest_mean({1e-3: {0: 2.0, 1: 1.0}, 3e-3: {0: 1.0, 1: 1.5}}) == 3e-3
    # 0.1 + 0.2 and 0.3 + 0 differ in their last bit; the means are equal all the same.
    assert lowest_mean({3e-3: {0: 0.3, 1: 0.0}, 1e-3: {0: 0.1, 1: 0.2}}) == 3e-3
    assert lowest_mean({1e-3: {0: 0.1, 1: 0.2}, 3e-3: {0: 0.3, 1: 0.0}}) == 1e-3


def test_one_lucky_seed_does_not_beat_more_seeds():
    assert lowest_mean({1e-3: {0: 1.0, 1: 1.0}, 3e-3: {0: 0.0}}) == 1e-3


def test_learning_rates_are_compared_over_the_seeds_they_share():
    # Over its own seeds 1e-3 has the mean 0.5 and would win; on the shared seed 1 it loses.
    assert lowest_mean({1e-3: {0: 0.0, 1: 1.0}, 3e-3: {1: 0.8, 2: 0.9}}) == 3e-3


def test_learning_rates_without_a_shared_seed_are_compared_over_their_own():
    assert lowest_mean({1e-3: {0: 1.0}, 3e-3: {1: 0.5}}) == 3e-3


def test_a_choice_needs_scores_where_there_are_several():
    assert lowest_mean({}) is None
    assert lowest_mean({1e-3: {0: inf}, 3e-3: {0: inf}}) is None
    assert lowest_mean({1e-3: {0: inf}, 3e-3: {0: 5.0}}) == 3e-3
    assert lowest_mean({1e-3: {0: inf}}) == 1e-3  # nothing to choose


def rates(**by_selection):
    return {selection: Candidate(rate, None) for selection, rate in by_selection.items()}


def _dev_prefers_low_tests_disagree(protocol):
    """Dev prefers 1e-3. The source's own set prefers 3e-3, the other set 1e-2."""
    scores = {1e-3: (0.1, 0.6, 0.5), 3e-3: (0.2, 0.9, 0.6), 1e-2: (0.3, 0.7, 0.8)}
    records = [
        make_record(
            "sft",
            {"sst2": {"acc": own, "acc_full_vocab": own}, "fins": {"acc": other, "acc_full_vocab": other}},
            seed=seed,
            learning_rate=rate,
            dev_loss=dev_loss,
            protocol=protocol,
        )
        for rate, (dev_loss, own, other) in scores.items()
        for seed in (0, 1)
    ]
    return group_records(records).groups[0]


def test_strict_uses_the_sources_dev_choice_everywhere_with_an_oracle_beside_it():
    group = _dev_prefers_low_tests_disagree("strict")
    assert chosen_candidates(group, "sst2") == rates(dev=1e-3, oracle=3e-3)
    assert chosen_candidates(group, "fins") == rates(dev=1e-3, oracle=1e-2)


def test_paper_chooses_on_the_set_that_is_reported():
    group = _dev_prefers_low_tests_disagree("paper")
    assert chosen_candidates(group, "sst2") == rates(oracle=3e-3)
    assert chosen_candidates(group, "fins") == rates(oracle=1e-2)


def test_paper_chooses_by_its_own_accuracy():
    records = [
        make_record("sft", {"sst2": {"acc": acc, "acc_full_vocab": 1 - acc}}, learning_rate=rate, protocol="paper")
        for rate, acc in ((1e-3, 0.9), (3e-3, 0.2))
    ]
    assert chosen_candidates(group_records(records).groups[0], "sst2") == rates(oracle=3e-3)


@pytest.mark.parametrize(("carried", "rate"), [((True, True), 1e-3), ((True, False), 3e-3)])
def test_paper_chooses_by_the_published_accuracy_where_every_record_has_it(carried, rate):
    records = [
        make_record(
            "sft",
            {"sst2": {"acc": 0.5, "acc_full_vocab": 1 - acc} | (published(acc) if has else {})},
            learning_rate=learning_rate,
            protocol="paper",
        )
        for (learning_rate, acc), has in zip(((1e-3, 0.9), (3e-3, 0.2)), carried, strict=True)
    ]
    (group,) = group_records(records).groups
    assert group.published == all(carried)
    assert chosen_candidates(group, "sst2") == rates(oracle=rate)


def published(accuracy):
    return {"acc_published": accuracy, "ece_published": 0.1}


def test_without_training_or_dev_loss():
    icl, sft = group_records(
        [
            make_record("icl", {"sst2": {"acc": 0.5}}),
            make_record("sft", {"sst2": {"acc": 0.5}}, learning_rate=1e-3, dev_loss=None),
            make_record("sft", {"sst2": {"acc": 0.6}}, learning_rate=3e-3, dev_loss=None),
        ]
    ).groups
    assert chosen_candidates(icl, "sst2") == {"none": Candidate(None, None)}
    assert chosen_candidates(sft, "sst2") == rates(oracle=3e-3)


def joint_records(protocol):
    """The dev loss falls with the weight, whatever the learning rate; accuracy is best at w=0.1 with 3e-3."""
    accuracy = {(0.1, 1e-3): 0.6, (0.1, 3e-3): 0.9, (0.9, 1e-3): 0.7, (0.9, 3e-3): 0.8}
    return [
        make_record(
            "ia2+sft",
            {"sst2": {"acc": acc, "acc_full_vocab": acc}},
            learning_rate=rate,
            dev_loss=1 - weight + rate,
            protocol=protocol,
            options={"sft_weight": weight},
        )
        for (weight, rate), acc in accuracy.items()
    ]


def test_paper_chooses_learning_rate_and_weight_together():
    (group,) = group_records(joint_records("paper")).groups
    assert group.variant == "" and len(group.expected) == 4
    assert chosen_candidates(group, "sst2") == {"oracle": Candidate(3e-3, 0.1)}


def test_strict_never_compares_the_dev_losses_of_two_weights():
    low, high = group_records(joint_records("strict")).groups
    assert (low.variant, high.variant) == ("w=0.1", "w=0.9")
    assert chosen_candidates(low, "sst2") == {"dev": Candidate(1e-3, 0.1), "oracle": Candidate(3e-3, 0.1)}
    assert chosen_candidates(high, "sst2") == {"dev": Candidate(1e-3, 0.9), "oracle": Candidate(3e-3, 0.9)}


def test_a_tie_goes_to_the_lower_learning_rate():
    records = [make_record("sft", {"sst2": {"acc": 0.5}}, learning_rate=rate) for rate in (3e-3, 1e-3)]
    (group,) = group_records(records).groups
    assert chosen_candidates(group, "sst2") == rates(dev=1e-3, oracle=1e-3)
