from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ia2_eval.experiments.agreement import Agreement, draw_seed, sample_texts
from ia2_eval.scoring.answers import ANSWER_FORMATS
from tests.experiments.small_runs import SAMPLED, SmallRun, small_recipe, small_run

MULTI = "embedded_arithmetic"
ANSWERED = [
    {"doc": {"answer_format": "hash_line", "n": n}, "arguments": [(f"q{n}", {"until": ["\n"], "do_sample": False})]}
    for n in range(3)
]


class Drawing:
    """Answers every request with a random number, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        self.asked += requests
        return [f"{request.args[0]} {torch.rand(()).item()}" for request in requests]


def drawn(seed: int, samples: int = 4) -> list[tuple[str, ...]]:
    return sample_texts(Drawing(), ANSWERED, Agreement(samples=samples), seed)  # type: ignore[arg-type]


def test_texts_are_sampled_from_the_whole_vocabulary_at_the_temperature() -> None:
    lm = Drawing()
    texts = sample_texts(lm, ANSWERED, Agreement(samples=2, temperature=0.9), 5)  # type: ignore[arg-type]
    assert [{text.split()[0] for text in of_query} for of_query in texts] == [{"q0"}, {"q1"}, {"q2"}]
    assert [len(set(of_query)) for of_query in texts] == [2, 2, 2]
    sampling = {"until": ["\n"], "do_sample": True, "temperature": 0.9, "top_k": 0, "top_p": 1.0}
    assert [request.args for request in lm.asked] == [(f"q{n}", sampling) for n in (0, 1, 2)] * 2
    assert [request.doc["n"] for request in lm.asked] == [0, 1, 2] * 2  # says where a text may stop
    assert ANSWERED[0]["arguments"][0][1] == {"until": ["\n"], "do_sample": False}  # type: ignore[index]


def test_draws_follow_from_the_seed_alone_and_disturb_no_others() -> None:
    torch.manual_seed(1)
    first, after = drawn(7), torch.rand(3)
    torch.manual_seed(2)
    assert drawn(7) == first
    assert drawn(8) != first
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)


def test_every_cell_and_benchmark_has_a_seed_of_its_own() -> None:
    seeds = [draw_seed(seed, name) for seed in (0, 1, 2**32 - 1) for name in ("gsm8k", "gsm8ks")]
    assert len(set(seeds)) == 6
    assert draw_seed(None, "gsm8k") == draw_seed(0, "gsm8k")
    torch.Generator().manual_seed(max(seeds))  # in the range of the generator


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
    assert metrics.keys() - plain.keys() <= {"ece_agreement", "auroc_agreement"}
    assert {name: metrics[name] for name in plain} == plain


def test_single_token_benchmarks_are_not_sampled(calibrated_run: SmallRun) -> None:
    record = calibrated_run.record("icl")
    assert not any("agreement" in name for name in record.evaluations[0].metrics)
    assert "sampled" not in calibrated_run.samples(record)[0]


def test_a_run_samples_the_same_texts_again(calibrated_run: SmallRun, tmp_path: Path) -> None:
    recipe = small_recipe(benchmarks=[{"source": MULTI, "n": 4}], seeds=[1, 0], methods=["icl"], **SAMPLED)
    again = small_run(recipe, tmp_path)
    record = calibrated_run.record("icl", MULTI)
    assert again.record("icl", MULTI, seed=0).evaluations == record.evaluations
    rows = calibrated_run.samples(record)
    assert again.samples(again.record("icl", MULTI, seed=0)) == rows
    other = again.samples(again.record("icl", MULTI, seed=1))
    assert [row["sampled"] for row in other] != [row["sampled"] for row in rows]
