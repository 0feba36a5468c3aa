from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ia2_eval.experiments.agreement import Agreement, draw_seed, sample_texts
from ia2_eval.lm.base_model import load, locate
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.scoring.answers import ANSWER_FORMATS
from tests.experiments.small_runs import EMBEDDED, SAMPLED, SmallRun, small_recipe, small_run

MULTI = "embedded_arithmetic"
ANSWERED = [
    {"doc": {"answer_format": "hash_line", "n": n}, "arguments": [(f"q{n}", {"until": ["\n"], "do_sample": False})]}
    for n in range(3)
]


ARITHMETIC = [
    {
        "doc": {"answer_format": "hash_line", "protocol": "strict"},
        "arguments": [(f"{n} plus 1 is", {"until": ["\n\n"], "max_gen_toks": 8})],
    }
    for n in (1, 2, 3)
]


@pytest.fixture(scope="module")
def lm() -> IA2HF:
    base = load(locate(EMBEDDED), "cpu")
    return IA2HF(pretrained=base.model, tokenizer=base.tokenizer, batch_size=8)


class Numbering:
    """Answers every request with its place among all, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        self.asked.append(requests)
        return [f"{request.args[0]} {place}" for place, request in enumerate(requests)]


def test_texts_are_sampled_from_the_whole_vocabulary_at_the_temperature() -> None:
    lm = Numbering()
    texts = sample_texts(lm, ANSWERED, Agreement(samples=2, temperature=0.9), 5)  # type: ignore[arg-type]
    assert texts == [("q0 0", "q0 1"), ("q1 2", "q1 3"), ("q2 4", "q2 5")]
    sampling = {"until": ["\n"], "do_sample": True, "temperature": 0.9, "top_k": 0, "top_p": 1.0, "seed": 5}
    (asked,) = lm.asked  # all at once: what they begin with is read once
    assert [request.args for request in asked] == [(f"q{n}", sampling) for n in (0, 0, 1, 1, 2, 2)]
    assert [request.doc["n"] for request in asked] == [0, 0, 1, 1, 2, 2]  # says where a text may stop
    assert ANSWERED[0]["arguments"][0][1] == {"until": ["\n"], "do_sample": False}  # type: ignore[index]


def test_draws_follow_from_the_seed_alone_and_disturb_no_others(lm: IA2HF) -> None:
    def drawn(seed: int, queries: int = 3, batch_size: int = 8) -> list[tuple[str, ...]]:
        lm.batch_size_per_gpu = batch_size
        return sample_texts(lm, ARITHMETIC[:queries], Agreement(samples=4, temperature=2.0), seed)

    torch.manual_seed(1)
    first, after = drawn(7), torch.rand(3)
    assert all(len(set(texts)) > 1 for texts in first)
    torch.manual_seed(2)
    assert drawn(7) == drawn(7, batch_size=3) == first
    assert drawn(7, queries=2) == first[:2]
    assert drawn(8) != first
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)


def test_every_cell_and_benchmark_has_a_seed_of_its_own() -> None:
    seeds = [draw_seed(seed, name) for seed in (0, 1, 2**32 - 1) for name in ("gsm8k", "gsm8ks")]
    assert len(set(seeds)) == 6
    assert draw_seed(None, "gsm8k") == draw_seed(0, "gsm8k")


@pytest.mark.parametrize("method", ["no_icl", "icl", "sft"])
def test_the_rows_and_what_follows_from_them(method: str, calibrated_run: SmallRun, strict_run: SmallRun) -> None:
    record, answers = calibrated_run.record(method, MULTI), ANSWER_FORMATS["hash_line"]
    rows, metrics = calibrated_run.samples(record), record.evaluations[0].metrics
    greedy = strict_run.samples(strict_run.record(method, MULTI))
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in greedy]
    for row in rows:
        assert len(row["sampled"]) == 3
        own, *others = (answers.parse(text, "strict") for text in [row["prediction"], *row["sampled"]])
        assert row["agreement"] == (None if own is None else np.mean([other == own for other in others]))
    if method == "no_icl":  # whose answers are not marked
        assert {row["agreement"] for row in rows} == {None} and "ece_agreement" not in metrics
        return
    assert len({row["agreement"] for row in rows}) > 1
    assert 0 <= metrics["ece_agreement"] <= 1
    plain = strict_run.record(method, MULTI).evaluations[0].metrics
    assert metrics.keys() - plain.keys() <= {"ece_agreement", "ece_agreement_n", "auroc_agreement"}
    assert {name: metrics[name] for name in plain} == plain


def test_single_token_benchmarks_are_not_sampled(calibrated_run: SmallRun) -> None:
    record = calibrated_run.record("icl")
    assert not any("agreement" in name for name in record.evaluations[0].metrics)
    assert "sampled" not in calibrated_run.samples(record)[0]


def test_a_run_samples_the_same_texts_again(calibrated_run: SmallRun, tmp_path: Path) -> None:
    recipe = small_recipe(benchmarks=[{"source": MULTI, "n": 4}], seeds=[1, 0], methods=["icl"], **SAMPLED)
    again = small_run(recipe, tmp_path, batch_size=5)
    record = calibrated_run.record("icl", MULTI)
    assert again.record("icl", MULTI, seed=0).evaluations == record.evaluations
    rows = calibrated_run.samples(record)
    assert again.samples(again.record("icl", MULTI, seed=0)) == rows
    other = again.samples(again.record("icl", MULTI, seed=1))
    assert [row["sampled"] for row in other] != [row["sampled"] for row in rows]
