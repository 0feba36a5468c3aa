from __future__ import annotations

from dataclasses import astuple

import pytest
from synthetic_run import make_record

from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.headline import headline
from ia2_eval.lm.base_model import Base


@pytest.mark.parametrize(
    ("protocol", "single_token", "published", "expected"),
    [
        ("strict", True, True, ("acc", "ece", "label", "equal-width")),
        ("strict", True, False, ("acc", "ece", "label", "equal-width")),
        ("strict", False, True, ("acc", "ece", "answer", "equal-width")),
        ("strict", False, False, ("acc", "ece", "answer", "equal-width")),
        ("paper", True, True, ("acc_published", "ece_published", "published", "equal-mass")),
        ("paper", True, False, ("acc_full_vocab", "ece_mass", "label", "equal-mass")),
        ("paper", False, True, ("acc", "ece_mass", "answer", "equal-mass")),
        ("paper", False, False, ("acc", "ece_mass", "answer", "equal-mass")),
    ],
)
def test_what_is_reported(protocol, single_token, published, expected):
    assert astuple(headline(protocol, single_token, published)) == expected


def published(accuracy):
    return {"acc_published": accuracy, "ece_published": 0.1}


def test_published_metrics_are_reported_by_all_of_a_base_or_by_none():
    carries, lacks = {"acc": 0.5} | published(0.5), {"acc": 0.5, "acc_published": 0.5}
    other = Base(model="other")

    def flags(*records):
        return {(group.base, group.protocol, group.method): group.published for group in group_records(records).groups}

    icl = make_record("icl", {"sst2": carries, "fins": carries}, protocol="paper")
    generated = make_record("icl", {"gsm8k": {"acc": 0.5}}, source="gsm8k", protocol="paper")  # has no label
    old = make_record("sft", {"agn": carries, "bbcn": lacks}, source="agn", protocol="paper")
    failed = make_record("sft", {"sst2": {}, "fins": {}}, protocol="paper", error="E: x")
    elsewhere = make_record("icl", {"sst2": {"acc": 0.5}}, protocol="paper", base=other)
    strict = make_record("icl", {"sst2": carries})
    assert flags(icl, generated, failed, elsewhere, strict) == {
        ("tiny", "paper", "icl"): True,
        ("tiny", "paper", "sft"): True,
        ("other", "paper", "icl"): False,
        ("tiny", "strict", "icl"): True,
    }
    assert set(flags(icl, generated, old).values()) == {False}
    assert set(flags(generated).values()) == {False}


def test_a_group_reports_labels_and_generated_answers_each_in_its_own_way():
    metrics = {"sst2": published(0.5), "gsm8k": {"acc": 0.5}}
    (group,) = group_records([make_record("icl", metrics, protocol="paper")]).groups
    assert [group.headline(name).accuracy for name in ("sst2", "gsm8k")] == ["acc_published", "acc"]
    assert [group.headline(name).confidence for name in ("sst2", "gsm8k")] == ["published", "answer"]
