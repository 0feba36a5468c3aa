"""Which accuracy and which confidence the outcomes of examples are of."""

from __future__ import annotations

import pytest
from comparison_run import only, run
from synthetic_run import make_record, sample, write_run

from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.headline import PUBLISHED, STRICT_LABELS, headline
from ia2_eval.leaderboard.results.outcomes import outcomes
from ia2_eval.leaderboard.results.reliability import pool
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.scoring.samples import LabelSample

PAPER_LABELS = headline("paper", single_token=True, published=False)


def row(label, full_vocab, confidence=0.9):
    return sample(confidence, label) | {"correct_full_vocab": full_vocab}


def test_each_accuracy_is_its_own():
    published = ("0", [0.5, 0.2, *[0.01] * 8])
    rows = [sample(0.9, False, published) | {"correct_full_vocab": True}]
    samples = [LabelSample.model_validate(each) for each in rows]
    strict, paper = (outcomes(samples, reported, "path") for reported in (STRICT_LABELS, PAPER_LABELS))
    assert (strict.correct.tolist(), strict.hits.tolist()) == ([False], [False])
    # the accuracy is of the whole vocabulary, the confidence of the best label
    assert (paper.correct.tolist(), paper.hits.tolist()) == ([True], [False])
    assert strict.confidence.tolist() == paper.confidence.tolist() == [0.9]
    literal = outcomes(samples, PUBLISHED, "path")
    assert (literal.correct.tolist(), literal.hits.tolist()) == ([True], [True])
    assert literal.confidence.tolist() == [pytest.approx(0.5 / 0.78)]


def test_comparisons_and_diagrams_under_paper_are_of_the_reported_accuracy(tmp_path):
    """ICL: label right in 3 of 4, whole vocabulary in 1 of 4; SFT: 2 of 4 and 4 of 4."""
    rows = {
        "icl": [row(True, True), row(True, False), row(True, False), row(False, False)],
        "sft": [row(True, True), row(True, True), row(False, True), row(False, True)],
    }
    metrics = {"icl": {"acc_full_vocab": 0.25, "ece_mass": 0.1}, "sft": {"acc_full_vocab": 1.0, "ece_mass": 0.1}}
    for method, answers in rows.items():
        for seed in range(3):
            record = make_record(method, {"sst2": metrics[method]}, seed=seed, examples=4, protocol="paper")
            write_run(tmp_path, [record], answers)
    _, _, lines = run(tmp_path)
    accuracy = only(lines, metric="acc", test="mcnemar", scope="place")
    assert accuracy["recorded_as"] == "acc_full_vocab"
    shares = {accuracy["method"]: float(accuracy["value"]), accuracy["against"]: float(accuracy["against_value"])}
    assert shares == {"icl": 0.25, "sft": 1.0}
    calibration = only(lines, metric="ECE", test="bootstrap", scope="place")
    errors = {
        calibration["method"]: float(calibration["value"]),
        calibration["against"]: float(calibration["against_value"]),
    }
    # four equal-mass bins of one answer each, of labels that are right or wrong
    assert errors == {"icl": pytest.approx((3 * 0.1 + 0.9) / 4), "sft": pytest.approx((2 * 0.1 + 2 * 0.9) / 4)}
    results = read_results([tmp_path])
    group = next(g for g in group_records(results.records).groups if g.method == "sft")
    reliability, _ = pool(results, group, "sst2")
    assert reliability.n == 12
    assert sum(each.count * each.accuracy for each in reliability.bins if each.count) == 6  # labels, 2 of 4, thrice
