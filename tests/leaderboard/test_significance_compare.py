"""The numbers of `ia2-eval leaderboard compare`, from records on disk to the CSV."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from comparison_run import CONFIDENCE, answers, only, run, write
from scipy import stats
from synthetic_run import generation, make_record, sample, write_run

from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.scoring.calibration import expected_calibration_error

AT_SST2 = {"scope": "place", "source": "sst2", "eval": "sst2", "method": "ia2_sft", "against": "sft"}


def test_every_number_of_a_comparison(tmp_path):
    write(tmp_path)
    status, _, lines = run(tmp_path)
    assert status == 0
    right = {name: np.array([answers(name, "sst2", seed, 60) for seed in range(3)]) for name in ("sft", "ia2_sft")}
    one, other = right["ia2_sft"], right["sft"]
    differences = one.mean(axis=1) - other.mean(axis=1)

    t = only(lines, **AT_SST2, metric="acc", test="t")
    expected = stats.ttest_rel(one.mean(axis=1), other.mean(axis=1))
    assert float(t["p"]) == pytest.approx(expected.pvalue)
    assert float(t["ci_low"]) == pytest.approx(expected.confidence_interval().low)
    assert float(t["difference"]) == pytest.approx(differences.mean())
    assert float(t["value"]) == pytest.approx(one.mean())
    assert float(t["against_value"]) == pytest.approx(other.mean())
    assert float(t["effect_size"]) == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert (t["seeds"], t["n"], t["unmatched_seeds"], t["over"]) == ("3", "60", "0", "seeds")
    b, c = (one & ~other).sum(), (~one & other).sum()
    assert (int(t["better"]), int(t["worse"]), float(t["odds_ratio"])) == (b, c, pytest.approx(b / c))

    crossed = only(lines, **AT_SST2, metric="acc", test="crossed")
    covariances = np.cov(one.astype(float) - other)
    shared = max(0.0, (covariances.sum() - np.trace(covariances)) / 6 / 60)
    statistic = differences.mean() / np.sqrt(differences.var(ddof=1) / 3 + shared)
    assert float(crossed["p"]) == pytest.approx(2 * stats.t.sf(statistic, 2))
    assert (crossed["primary"], t["primary"]) == ("True", "False")

    ece = only(lines, **AT_SST2, metric="ECE", test="t")
    errors = [
        expected_calibration_error(np.full(60, CONFIDENCE[name]), right[name][seed])
        for name in ("ia2_sft", "sft")
        for seed in range(3)
    ]
    assert float(ece["p"]) == pytest.approx(stats.ttest_rel(errors[:3], errors[3:]).pvalue)
    assert float(ece["left_out"]) == 0
    ends = {
        test: [float(line["ci_low"]) for line in lines if (line["metric"], line["test"]) == ("ECE", test)]
        for test in ("crossed", "t")
    }
    assert any(low < plain for low, plain in zip(*ends.values(), strict=True))  # wider by what seeds share
    tests = {"crossed", "t", "wilcoxon", "mcnemar", "bootstrap"}
    at_place = [line for line in lines if all(line[name] == value for name, value in AT_SST2.items())]
    assert {line["test"] for line in at_place if line["metric"] == "acc"} == tests
    assert {line["test"] for line in at_place if line["metric"] == "ECE"} == tests - {"mcnemar"}


def test_holm_is_over_all_comparisons_of_the_command(tmp_path):
    write(tmp_path)
    from statsmodels.stats.multitest import multipletests

    _, _, lines = run(tmp_path)
    family = [line for line in lines if (line["scope"], line["metric"], line["primary"]) == ("place", "acc", "True")]
    assert len(family) == 3 * 3  # pairs, places
    expected = multipletests([float(line["p"]) for line in family], method="holm")[1]
    assert [float(line["p_holm"]) for line in family] == pytest.approx(list(expected))
    _, _, fewer = run(tmp_path, ["ia2_sft"], ["sft"], tmp_path / "few")
    one = only(fewer, **AT_SST2, metric="acc", test="crossed")
    assert float(one["p_holm"]) < float(only(lines, **AT_SST2, metric="acc", test="crossed")["p_holm"])


def test_over_datasets_each_counts_once(tmp_path):
    write(tmp_path, sources=("sst2", "agn", "sciqr"), sizes=(4, 8))
    _, text, lines = run(tmp_path, ["ia2_sft"], ["sft"])
    pooled = only(lines, scope="all", sets="own", metric="acc")
    one, other = (
        np.array([[answers(name, source, seed, 60).mean() for seed in range(3)] for source in ("sst2", "agn", "sciqr")])
        for name in ("ia2_sft", "sft")
    )
    means = (one - other).mean(axis=1)
    assert float(pooled["p"]) == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
    assert (pooled["datasets"], pooled["seeds"], pooled["unit"]) == ("3", "18", "datasets")
    assert pooled["p_holm"] == pooled["p"]  # the only one of its scope and metric
    assert [line["N"] for line in lines if line["scope"] == "N" and line["metric"] == "acc"] == ["4", "8"]
    assert "3 datasets are few: with 2 degrees of freedom" in " ".join(text.split())
    assert not [line for line in lines if line["scope"] != "place" and line["sets"] == "ood"]  # one source has any


def test_of_two_datasets_the_mean_is_told_without_a_test(tmp_path):
    write(tmp_path)
    _, text, lines = run(tmp_path, ["ia2_sft"], ["sft"])
    pooled = only(lines, scope="all", metric="acc")
    assert float(pooled["difference"]) > 0 and pooled["datasets"] == "2"
    assert {pooled[name] for name in ("p", "p_holm", "ci_low", "needed", "effect_size")} == {""}
    assert "2 datasets are too few for a test over datasets" in " ".join(text.split())


def test_datasets_of_accuracy_and_of_ece_are_counted_apart(tmp_path):
    write(tmp_path, methods=("icl", "sft"))
    (tmp_path / "plan.json").unlink()
    for method in ("icl", "sft"):
        for seed in range(3):
            record = make_record(method, {"gsm8k": {"acc": 0.5}}, source="gsm8k", seed=seed, examples=6)
            write_run(tmp_path, [record], [generation(None, i % 2 == 0) for i in range(6)])
    _, _, lines = run(tmp_path)
    counts = {line["metric"]: line["datasets"] for line in lines if line["scope"] == "all"}
    assert counts == {"acc": "3", "ECE": "2"}
    page = (tmp_path / "comparisons" / "comparisons.md").read_text()
    assert "| all | 3, 2 | all |" in page and "datasets, such as 3, 2: of acc, of ECE" in page


def test_a_seed_without_any_common_confidence_is_told(tmp_path):
    for method in ("icl", "sft"):
        for seed, confidence in enumerate((0.7, None)):
            record = make_record(method, {"gsm8k": {"acc": 0.5}}, source="gsm8k", seed=seed, examples=6)
            write_run(tmp_path, [record], [generation(confidence, i % 2 == 0) for i in range(6)])
    _, text, lines = run(tmp_path)
    assert {line["metric"] for line in lines} == {"acc"}
    assert "no ECE, for in some seed no example has a confidence in both" in " ".join(text.split())


def test_one_seed_says_what_cannot_be_told(tmp_path):
    write(tmp_path, seeds=1, sources=("sst2",))
    status, text, lines = run(tmp_path, ["ia2_sft"], ["sft"])
    assert status == 0
    assert "one seed in 2 of 2 comparisons" in text
    assert "one dataset only" in text
    assert "whether these checkpoints differ" in " ".join(text.split())
    primary = only(lines, **AT_SST2, metric="acc", primary="True")
    one, other = answers("ia2_sft", "sst2", 0, 60), answers("sft", "sst2", 0, 60)
    b, c = (one & ~other).sum(), (~one & other).sum()
    assert primary["test"] == "mcnemar"
    assert float(primary["p"]) == pytest.approx(stats.binomtest(b, b + c).pvalue)
    assert only(lines, **AT_SST2, metric="acc", test="t")["p"] == ""
    detectable = 100 * float(only(lines, **AT_SST2, metric="acc", test="bootstrap")["detectable"])
    assert f" – | {detectable:.1f} " in (tmp_path / "comparisons" / "comparisons.md").read_text().replace(
        "| – | – |", "| – |"
    )
    assert only(lines, **AT_SST2, metric="ECE", primary="True")["test"] == "bootstrap"


def test_what_has_no_seed_is_compared_with_every_seed(tmp_path):
    write(tmp_path, methods=("no_icl", "icl"), sources=("sst2",), sizes=(4, 8))
    _, _, lines = run(tmp_path)
    found = [line for line in lines if line["test"] == "t" and line["metric"] == "acc" and line["eval"] == "sst2"]
    assert [(line["method"], line["against"], line["N"], line["seeds"]) for line in found] == [
        ("icl", "no_icl", "4", "3"),
        ("icl", "no_icl", "8", "3"),
    ]


def test_untrained_columns_are_compared_once_for_all_adapters(tmp_path):
    write(tmp_path, methods=("no_icl", "icl"), sources=("agn",))
    for rank in (4, 8):
        write(tmp_path, methods=("sft",), sources=("agn",), adapter=Lora(r=rank))
    (tmp_path / "plan.json").unlink()
    _, _, lines = run(tmp_path)
    pairs = [(line["method"], line["against"]) for line in lines if (line["test"], line["metric"]) == ("t", "acc")]
    assert sorted(pairs) == [("icl", "no_icl"), *[("sft", "icl")] * 2, *[("sft", "no_icl")] * 2]
    assert len({line["adapter"] for line in lines}) == 2


def test_unmatched_seeds_are_counted_and_told(tmp_path):
    write(tmp_path, methods=("sft",), sources=("agn",), seeds=5)
    write(tmp_path, methods=("ia2_sft",), sources=("agn",), seeds=3)
    (tmp_path / "plan.json").unlink()
    _, text, lines = run(tmp_path)
    assert "seeds that only one of the two has are left out: " in text and "IA2 → SFT and SFT, 2 seeds" in text
    assert {(line["seeds"], line["unmatched_seeds"]) for line in lines} == {("3", "2")}


def test_unknown_confidences_are_left_out_of_both_and_counted(tmp_path):
    for method, step in (("icl", 3), ("sft", 4)):
        record = make_record(method, {"gsm8k": {"acc": 0.5, "ece": 0.1}}, source="gsm8k", examples=24)
        rows = [generation(None if i % step == 0 else 0.7, i % 2 == 0) for i in range(24)]
        write_run(tmp_path, [record], rows)
    _, text, lines = run(tmp_path)
    line = only(lines, metric="ECE", test="bootstrap")
    assert float(line["left_out"]) == 12  # multiples of 3 or 4 below 24
    assert "one of the two has no confidence (up to 50 %)" in " ".join(text.split())
    assert only(lines, metric="acc", test="mcnemar")["left_out"] == ""


def test_without_any_common_confidence_only_the_accuracy_is_compared(tmp_path):
    for method in ("icl", "sft"):
        record = make_record(method, {"gsm8k": {"acc": 0.5}}, source="gsm8k", examples=6)
        write_run(tmp_path, [record], [generation(None, i % 2 == 0) for i in range(6)])
    _, text, lines = run(tmp_path)
    assert {line["metric"] for line in lines} == {"acc"}
    assert "no ECE" not in text  # there is none to miss


def test_infinite_needs_are_told(tmp_path):
    """Equal methods: no number of seeds finds a difference of 0."""
    for method in ("icl", "sft"):
        for seed, right in enumerate((30, 31, 29)):
            right += (seed == 0) - (seed == 1) if method == "icl" else 0
            record = make_record(method, {"agn": {"acc": 0.5, "ece": 0.1}}, source="agn", seed=seed, examples=60)
            write_run(tmp_path, [record], [sample(0.5, i < right) for i in range(60)])
    _, text, lines = run(tmp_path)
    assert float(only(lines, metric="acc", test="t")["needed"]) == inf
    assert "never" in text
