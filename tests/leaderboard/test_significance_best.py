from __future__ import annotations

import numpy as np
import pytest
from synthetic_run import make_record, sample, write_run

from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.significance.best import BEST_CAPTION, Best, significant_best
from ia2_eval.leaderboard.style import Column

ICL, SFT, IA2, NO_ICL = (Column(name) for name in ("icl", "sft", "ia2", "no_icl"))


def rows(right, n=100, confidence=0.9, shift=0):
    """`right` of n examples answered rightly, from the one at `shift` on."""
    return [sample(confidence, (i - shift) % n < right) for i in range(n)]


def best(tmp_path, by_method, damage=(), **keywords):
    """The best columns of a row whose methods have these sample rows, one list per seed."""
    records = []
    for method, of_seeds in by_method.items():
        for seed, samples in enumerate(of_seeds):
            record = make_record(
                method, {"sst2": {"acc": 0.5, "ece": 0.1}}, seed=seed, examples=len(samples), **keywords
            )
            write_run(tmp_path, [record], samples)
            if method in damage:
                (tmp_path / record.evaluations[0].samples).write_text("{}\n")
            records.append(record)
    groups = group_records(records).groups
    return significant_best(read_results([tmp_path]), groups, "sst2")


def test_a_column_that_is_better_in_every_seed_is_marked(tmp_path):
    shares = {"icl": (0.6, 0.6), "sft": (0.7, 1.0), "ia2": (0.96, 0.6)}  # answered rightly, confidence
    clear = {
        method: [rows(int(400 * right) + seed, 400, confidence) for seed in range(3)]
        for method, (right, confidence) in shares.items()
    }
    # ECE: icl about 0, sft .3, ia2 .36
    assert best(tmp_path, clear) == Best(IA2, ICL)


def test_a_column_that_is_not_better_than_every_other_is_not(tmp_path):
    # sft and ia2 differ by one example: both beat icl, none is the best
    close = {"icl": [rows(60)] * 3, "sft": [rows(95), rows(97), rows(96)], "ia2": [rows(96), rows(96), rows(97)]}
    assert best(tmp_path, close).accuracy is None


def test_seeds_that_scatter_more_than_they_differ_give_no_mark(tmp_path):
    # mean .86 and .66; as 300 answers the difference is beyond doubt, as three seeds it is not
    scattered = {"icl": [rows(60), rows(70), rows(68)], "sft": [rows(60), rows(98), rows(100)]}
    assert best(tmp_path, scattered).accuracy is None


def test_fewer_than_three_seeds_are_compared_over_examples(tmp_path):
    # b = 8, c = 0: p = 2 / 2^8 = .0078; against two columns Holm's p is .0156; b = 5: p = .0625
    eight = {"icl": [rows(80)], "sft": [rows(88)], "ia2": [rows(80)]}
    assert best(tmp_path / "8", eight).accuracy == SFT
    assert best(tmp_path / "5", {"icl": [rows(80)], "sft": [rows(85)]}).accuracy is None
    # b = 6: p = .03125 alone, .0625 beside another column
    assert best(tmp_path / "6", {"icl": [rows(80)], "sft": [rows(86)]}).accuracy == SFT
    assert best(tmp_path / "66", {"icl": [rows(80)], "sft": [rows(86)], "ia2": [rows(80)]}).accuracy is None
    # two seeds that are right about the same six examples are not twelve: p stays .03125
    assert best(tmp_path / "2", {"icl": [rows(80)] * 2, "sft": [rows(85)] * 2}).accuracy is None


def test_calibration_of_one_seed_by_the_bootstrap(tmp_path):
    # accuracy .75 with confidence .75 or .95: ECE 0 and .2
    assert best(tmp_path, {"icl": [rows(75, confidence=0.75)], "sft": [rows(75, confidence=0.95)]}).calibration == ICL


def test_what_has_no_seed_is_matched_with_every_seed(tmp_path):
    assert best(tmp_path, {"no_icl": [rows(60)], "icl": [rows(90), rows(91), rows(92)]}).accuracy == Column("icl")


def test_equal_columns_and_single_ones_have_no_best(tmp_path):
    assert best(tmp_path / "a", {"icl": [rows(60)] * 3, "sft": [rows(60)] * 3}) == Best(None, None)
    assert best(tmp_path / "b", {"icl": [rows(60)] * 3}) == Best(None, None)


def test_a_finished_column_without_usable_samples_forbids_a_mark(tmp_path):
    clear = {"icl": [rows(60)] * 3, "sft": [rows(90)] * 3, "ia2": [rows(50)] * 3}
    assert best(tmp_path / "whole", clear).accuracy == SFT
    assert best(tmp_path / "damaged", clear, damage=["ia2"]) == Best(None, None)


def test_an_unfinished_column_does_not_count(tmp_path):
    records = [make_record("ia2", {"sst2": {"acc": 0.5}}, error="out of memory", seed=0)]
    write_run(tmp_path, records)
    for method, right in (("icl", 60), ("sft", 90)):
        records.append(make_record(method, {"sst2": {"acc": 0.5, "ece": 0.1}}, examples=100))
        write_run(tmp_path, records[-1:], rows(right))
    assert significant_best(read_results([tmp_path]), group_records(records).groups, "sst2").accuracy == SFT


def test_the_published_accuracy_decides_where_it_is_reported(tmp_path):
    """Under `paper`, of the most likely token, whatever the best label is."""
    top = [0.5, 0.2, 0.1, 0.05, 0.04, 0.03, 0.03, 0.02, 0.02, 0.01]
    published = {"acc": 0.5, "ece": 0.1, "acc_published": 0.5, "ece_published": 0.1}
    records = []
    for method, right in (("icl", 90), ("sft", 60)):
        records.append(make_record(method, {"sst2": published}, examples=100, protocol="paper"))
        write_run(
            tmp_path, records[-1:], [sample(0.9, i >= right, ("0" if i < right else "1", top)) for i in range(100)]
        )
    assert significant_best(read_results([tmp_path]), group_records(records).groups, "sst2").accuracy == ICL


@pytest.mark.parametrize("seeds", [1, 5])
def test_marks_do_not_depend_on_the_order_of_columns(tmp_path, seeds):
    rng = np.random.default_rng(seeds)
    by_method = {
        method: [rows(int(right + rng.integers(4)), shift=int(rng.integers(9))) for _ in range(seeds)]
        for method, right in (("icl", 60), ("sft", 70), ("ia2", 92))
    }
    forward = best(tmp_path / "forward", by_method)
    assert forward == best(tmp_path / "backward", dict(reversed(by_method.items())))
    assert forward.accuracy == IA2


def test_the_caption_says_how_it_is_decided():
    assert "Holm" in BEST_CAPTION and "3 matched seeds" in BEST_CAPTION and "\n" not in BEST_CAPTION
