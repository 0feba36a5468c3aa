from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.lm.base_model import Base
from ia2_eval.regression.check import Check
from ia2_eval.regression.gate import Gate, Reruns, checks
from ia2_eval.regression.reference import load_reference
from tests.leaderboard.synthetic_run import make_record, write_run
from tests.regression.gate_runs import FLOAT32, Written, judged, label_rows

MOST = [True] * 160 + [False] * 40  # 80 %
BFLOAT16 = FLOAT32.model_copy(update={"dtype": "bfloat16"})


def one(found: list[Check]) -> Check:
    (check,) = found
    return check


def flipped(correct: list[bool], *, lost: int = 0, won: int = 0) -> list[bool]:
    """With the first right answers wrong, and the last wrong ones right."""
    new = np.array(correct)
    new[np.flatnonzero(new)[:lost]] = False
    new[np.flatnonzero(~np.array(correct))[-won or len(new) :]] = True
    return new.tolist()


def test_the_same_bits_pass(tmp_path: Path) -> None:
    rows = {("icl", seed): label_rows(MOST) for seed in (0, 1)}
    check = one(judged(tmp_path, Written(rows), Written(rows), exact=True))
    assert check == Check("base", "SST2 N=4 ICL", "pass", "all 400 answers are the same")


@pytest.mark.parametrize("nudge", [1e-12, 1e-3])
def test_one_bit_is_a_regression_where_bits_must_be_equal(tmp_path: Path, nudge: float) -> None:
    rerun = label_rows(MOST[:-1]) + label_rows(MOST, nudge)[-1:]
    check = one(judged(tmp_path, Written({("icl", 0): label_rows(MOST)}), Written({("icl", 0): rerun}), exact=True))
    assert check.verdict == "regression"
    assert check.reason.startswith("1 of 200 answers differ")


def test_rounding_passes_elsewhere_and_more_does_not(tmp_path: Path) -> None:
    reference = Written({("icl", 0): label_rows(MOST)})
    near = one(judged(tmp_path / "near", reference, Written({("icl", 0): label_rows(MOST, 0.005)}), exact=False))
    assert near.verdict == "pass" and near.reason == "all 200 answers are the same; 0.01 nats are allowed"
    far = one(judged(tmp_path / "far", reference, Written({("icl", 0): label_rows(MOST, 0.05)}), exact=False))
    assert far.verdict == "regression"
    assert far.reason.startswith("200 of 200 answers differ (0 predictions, log-likelihoods by up to 0.05 nats)")


def test_half_precision_rounds_more_and_is_then_told_by_its_scores(tmp_path: Path) -> None:
    reference = Written({("icl", 0): label_rows(MOST)}, base=BFLOAT16)
    rounded = Written({("icl", 0): label_rows(MOST, 0.2)}, base=BFLOAT16)
    assert one(judged(tmp_path / "a", reference, rounded, exact=False)).verdict == "pass"
    worse = Written({("icl", 0): label_rows(flipped(MOST, lost=60), 0.05)}, base=BFLOAT16)
    check = one(judged(tmp_path / "b", reference, worse, exact=False))
    assert check.verdict == "regression" and "accuracy 80.0 -> 50.0 % (at worst -" in check.reason


def test_the_same_answers_scored_in_another_way_are_a_regression(tmp_path: Path) -> None:
    rerun = label_rows(MOST)
    for row in rerun[:20]:
        row["correct"] = False
    reference = Written({("icl", 0): label_rows(MOST)})
    for exact in (True, False):
        check = one(judged(tmp_path / str(exact), reference, Written({("icl", 0): rerun}), exact))
        assert check.verdict == "regression" and check.reason.startswith("20 of 200 answers differ")
    for row, old in zip(rerun, label_rows(MOST), strict=True):
        row |= {"correct": old["correct"], "confidence": old["confidence"] / 2}
    check = one(judged(tmp_path / "confidence", reference, Written({("icl", 0): rerun}), exact=False))
    assert check.verdict == "regression" and check.reason.startswith("200 of 200 answers differ")


def test_another_label_map_is_a_regression_though_the_data_are_others(tmp_path: Path) -> None:
    reference = Written({("no_icl", 0): label_rows(MOST)})
    other = Written({("no_icl", 0): label_rows(MOST, gold="1")}, changes={"data": "e" * 64})
    check = one(judged(tmp_path, reference, other, exact=False))
    assert check.verdict == "regression" and "200 of 200 prompts are the same and have another right" in check.reason


def test_other_prompts(tmp_path: Path) -> None:
    rows = label_rows(MOST)
    for row in rows[:7]:
        row["prompt_sha256"] = "f" * 64
    reference = Written({("icl", 0): label_rows(MOST)})
    same_data = one(judged(tmp_path / "same", reference, Written({("icl", 0): rows}), exact=True))
    assert same_data.verdict == "regression" and same_data.reason.startswith("7 of 200 prompts are not the same")
    other = Written({("icl", 0): rows}, changes={"data": "e" * 64})
    version = one(judged(tmp_path / "other", reference, other, exact=True))
    assert version.verdict == "cannot tell" and "another version of the benchmark: 7 of 200" in version.reason


def test_other_training_examples_matter_to_what_is_retrained_only(tmp_path: Path) -> None:
    reference = Written({("sft", 0): label_rows(MOST)})
    other = Written({("sft", 0): label_rows(MOST)}, changes={"data": "e" * 64})
    assert one(judged(tmp_path / "a", reference, other, exact=True)).verdict == "cannot tell"
    assert one(judged(tmp_path / "b", reference, other, exact=True, stored=True)).verdict == "pass"


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    reference = Written({("icl", 0): label_rows(MOST)})
    base = Written({("icl", 0): label_rows(MOST)}, base=Base(model="tiny", fingerprint="0" * 8))
    check = one(judged(tmp_path / "base", reference, base, exact=True))
    assert check.verdict == "cannot tell" and "another base model: its fingerprint is '00000000'" in check.reason
    version = Written({("icl", 0): label_rows(MOST)}, changes={"version": 2})
    assert one(judged(tmp_path / "version", reference, version, exact=True)).verdict == "cannot tell"
    absent = Written({("icl", 1): label_rows(MOST)})
    check = one(judged(tmp_path / "absent", reference, absent, exact=True))
    assert (check.verdict, check.reason) == ("cannot tell", "no such cell was run (another recipe?)")


def test_a_failed_cell_is_a_regression_and_outweighs_what_cannot_be_told(tmp_path: Path) -> None:
    reference = Written({("icl", 0): label_rows(MOST), ("icl", 1): label_rows(MOST)})
    judged(tmp_path, reference, Written({("icl", 2): label_rows(MOST)}), exact=True)
    failed: Record = make_record(
        "icl", {"sst2": {}}, seed=0, base=FLOAT32, examples=200, error="Traceback\nValueError: no"
    )
    write_run(tmp_path / "rerun", [failed])
    check = one(checks(load_reference(tmp_path / "reference"), Reruns(None, read_run(tmp_path / "rerun")), Gate(True)))
    assert (check.verdict, check.reason) == ("regression", "the cell failed: ValueError: no (2 of 2 seeds)")


def test_a_missing_sample_file_of_the_rerun_is_named(tmp_path: Path) -> None:
    rows = {("icl", 0): label_rows(MOST)}
    judged(tmp_path, Written(rows), Written(rows), exact=True)
    (path,) = (tmp_path / "rerun" / "samples").rglob("*.jsonl")
    path.unlink()
    check = one(checks(load_reference(tmp_path / "reference"), Reruns(None, read_run(tmp_path / "rerun")), Gate(True)))
    assert check.verdict == "regression" and str(path.relative_to(tmp_path / "rerun")) in check.reason


def retrained(tmp_path: Path, now: list[list[bool]], before: list[bool] = MOST, train_loss: float = 0.1) -> list[Check]:
    reference = Written({("sft", seed): label_rows(before) for seed in range(len(now))})
    rerun = Written({("sft", seed): label_rows(rows) for seed, rows in enumerate(now)}, train_loss=train_loss)
    return judged(tmp_path, reference, rerun, exact=False)


def test_retrained_models_may_differ_by_noise(tmp_path: Path) -> None:
    now = [flipped(MOST, lost=lost, won=won) for lost, won in ((2, 2), (1, 3), (3, 1), (2, 2))]
    assert {check.verdict for check in retrained(tmp_path, now)} == {"pass"}


def test_retrained_models_that_are_worse_beyond_doubt(tmp_path: Path) -> None:
    now = [flipped(MOST, lost=lost) for lost in (60, 62, 58, 61)]
    training, scores = sorted(retrained(tmp_path, now), key=lambda check: check.kind, reverse=True)
    assert (training.kind, training.verdict) == ("training", "pass")
    assert (scores.kind, scores.verdict) == ("retrained", "regression")
    assert "accuracy 80.0 -> 49.9 % (at worst -" in scores.reason and scores.reason.endswith("n = 4 x 200")


def test_better_is_no_regression(tmp_path: Path) -> None:
    now = [flipped(MOST, won=won) for won in (30, 31, 29, 30)]
    assert {check.verdict for check in retrained(tmp_path, now)} == {"pass"}


def test_too_few_examples_cannot_tell(tmp_path: Path) -> None:
    few = [True] * 16 + [False] * 4
    found = retrained(tmp_path, [flipped(few, lost=1, won=1)], before=few)
    assert [check.verdict for check in found if check.kind == "retrained"] == ["cannot tell"]


def test_a_broken_loss_factor_is_seen_in_the_loss(tmp_path: Path) -> None:
    found = retrained(tmp_path, [MOST, MOST], train_loss=0.4)
    assert [(c.kind, c.verdict) for c in found] == [("training", "regression"), ("retrained", "pass")]
    assert "ce train x 3.97" in found[0].reason  # (0.4 + 0.001) / (0.1 + 0.001)
    exact = judged(
        tmp_path / "exact",
        Written({("sft", 0): label_rows(MOST)}),
        Written({("sft", 0): label_rows(MOST)}, train_loss=0.1000001),
        exact=True,
    )
    assert one(exact).verdict == "regression" and "1 of 1 trainings went differently" in one(exact).reason


def test_losses_that_are_not_finite_are_a_regression(tmp_path: Path) -> None:
    found = retrained(tmp_path, [MOST], train_loss=float("nan"))
    assert ("training", "regression") in [(check.kind, check.verdict) for check in found]


def test_the_gate_has_few_false_alarms() -> None:
    """Models of five seeds that lose and win as many answers by chance: a gate of one check, a thousand times."""
    from ia2_eval.regression.gate import FALSE_ALARMS
    from ia2_eval.regression.intervals import accuracy_difference

    rng = np.random.default_rng(0)
    level = 1 - FALSE_ALARMS / 2
    alarms = 0
    for _ in range(1000):
        before = rng.random((5, 200)) < 0.8
        shift = rng.normal(0, 0.03, size=(5, 1))  # what retraining does to a seed
        after = np.where(rng.random((5, 200)) < 0.1, rng.random((5, 200)) < 0.8 + shift, before)
        alarms += accuracy_difference(before, after).bound(upper=True, level=level) < 0
    assert alarms <= 13  # of 1000 at a true rate of 0.5 %: more has a probability below 0.1 %


def test_one_model_trained_anew_is_no_proof(tmp_path: Path) -> None:
    """What training anew changes by itself is not known from one seed."""
    found = retrained(tmp_path, [flipped(MOST, lost=60)])
    assert [check.verdict for check in found if check.kind == "retrained"] == ["cannot tell"]


def test_a_missing_seed_does_not_hide_a_regression(tmp_path: Path) -> None:
    reference = Written({("icl", seed): label_rows(MOST) for seed in (0, 1)})
    check = one(judged(tmp_path, reference, Written({("icl", 0): label_rows(MOST, 0.5)}), exact=False))
    assert check.verdict == "regression" and check.reason.startswith("200 of 200 answers differ")


def test_metrics_that_do_not_follow_from_the_same_rows_are_a_regression(tmp_path: Path) -> None:
    rows = {("icl", 0): label_rows(MOST)}
    judged(tmp_path, Written(rows), Written(rows), exact=True)
    (path,) = (tmp_path / "rerun" / "records").iterdir()
    path.write_text(path.read_text().replace('"acc":0.8', '"acc":0.79'))
    reference, run = load_reference(tmp_path / "reference"), read_run(tmp_path / "rerun")
    check = one(checks(reference, Reruns(None, run), Gate(exact=True)))
    assert (check.verdict, check.reason) == (
        "regression",
        "all 200 answers are the same, but the metrics are not: acc 0.8 -> 0.79",
    )


def test_weights_of_the_paper_are_different_models(tmp_path: Path) -> None:
    cells = {weight: {"sft_weight": weight, "protocol": "paper"} for weight in (0.1, 0.5)}
    for weight, changes in cells.items():
        written = Written({("ia2_plus_sft", 0): label_rows(MOST)}, changes=changes)
        found = judged(tmp_path / str(weight), written, written, exact=True)
        assert f"w={weight}" in one(found).name
