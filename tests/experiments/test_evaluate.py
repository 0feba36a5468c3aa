"""From an example of a benchmark to its row in the samples and its share of the metrics."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pytest
from lm_eval.tasks import TaskManager

from ia2_eval.benchmarks import draw_training_set, load_benchmark, per_query_demonstrations, with_demonstrations
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm import ia2_hf
from ia2_eval.lm.base_model import load, locate
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.shipped import TASKS_DIRECTORY
from tests.experiments.small_runs import ALL_METHODS, EMBEDDED, LIMIT, SmallRun, planned, small_recipe, small_run

SINGLE, MULTI = "embedded_mood", "embedded_arithmetic"


def digests(prompts: list[str]) -> list[str]:
    return [hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts]


def given(run: SmallRun, record: Any, number: int = 0) -> list[str]:
    return [row["prompt_sha256"] for row in run.samples(record, number)]


@pytest.mark.parametrize("source", [SINGLE, MULTI])
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_without_demonstrations_the_model_reads_the_bare_prompt(
    protocol: str, source: str, request: pytest.FixtureRequest
) -> None:
    run: SmallRun = request.getfixturevalue(f"{protocol}_run")
    queries = load_benchmark(source).evaluation[:LIMIT]
    for method in ALL_METHODS:
        if method != "icl":
            assert given(run, run.record(method, source)) == digests([query.prompt for query in queries])


@pytest.mark.parametrize("source", [SINGLE, MULTI])
def test_strict_icl_shows_the_training_examples_in_the_order_of_draws(source: str, strict_run: SmallRun) -> None:
    data = load_benchmark(source)
    shown = draw_training_set(data, 4, 0).train
    assert len(shown) == 4
    prompts = [with_demonstrations(shown, query.prompt) for query in data.evaluation[:LIMIT]]
    assert given(strict_run, strict_run.record("icl", source)) == digests(prompts)


@pytest.mark.parametrize("source", [SINGLE, MULTI])
def test_paper_icl_shows_other_demonstrations_to_every_query(source: str, paper_run: SmallRun) -> None:
    data = load_benchmark(source)
    training_set = draw_training_set(data, 4, 0)
    shown = per_query_demonstrations(data, training_set, LIMIT)
    assert {len(examples) for examples in shown} == {3}
    assert not {example for examples in shown for example in examples} & {*training_set.train, *training_set.dev}
    prompts = [with_demonstrations(*pair) for pair in zip(shown, [q.prompt for q in data.evaluation], strict=False)]
    assert given(paper_run, paper_run.record("icl", source)) == digests(prompts)


def test_out_of_distribution_queries_follow_demonstrations_of_the_source(ood_run: SmallRun, hub_rows: Path) -> None:
    sst2 = load_benchmark("sst2", hub_rows)
    for number, name in enumerate(("sst2", "fins", "poems")):
        queries = load_benchmark(name, hub_rows).evaluation[:4]
        bare = digests([query.prompt for query in queries])
        assert given(ood_run, ood_run.record("no_icl", "sst2"), number) == bare
        for seed in (0, 1):
            shown = draw_training_set(sst2, 4, seed).train
            shots = digests([with_demonstrations(shown, query.prompt) for query in queries])
            assert given(ood_run, ood_run.record("icl", "sst2", seed), number) == shots
            assert given(ood_run, ood_run.record("ia2", "sst2", seed), number) == bare
        golds = [row["gold"] for row in ood_run.samples(ood_run.record("no_icl", "sst2"), number)]
        assert golds == [query.answer for query in queries]


def expected_calibration_error(confidence: list[float], correct: list[bool]) -> float:
    """15 bins of equal width, (lower, upper]; written out."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for c, r in zip(confidence, correct, strict=True):
        bins.setdefault(math.ceil(c * 15), []).append((c, r))
    gaps = [abs(sum(r for _, r in rows) - sum(c for c, _ in rows)) for rows in bins.values()]
    return sum(gaps) / len(confidence)


@pytest.mark.parametrize("name", ["strict_run", "paper_run", "ood_run"])
def test_single_token_metrics_follow_from_the_rows(name: str, request: pytest.FixtureRequest) -> None:
    run: SmallRun = request.getfixturevalue(name)
    seen = 0
    for record in run.records:
        for number, evaluation in enumerate(record.evaluations):
            if evaluation.eval == MULTI:
                continue
            rows, metrics = run.samples(record, number), evaluation.metrics
            labels = load_benchmark(evaluation.eval).benchmark.labels if evaluation.eval == SINGLE else ("0", "1")
            assert labels
            scores = np.array([row["log_likelihoods"] for row in rows])
            assert scores.shape == (evaluation.n, len(labels)) and (scores < 0).all()
            probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            gold = [labels.index(row["gold"]) for row in rows]
            assert [row["prediction"] for row in rows] == [labels[i] for i in scores.argmax(axis=1)]
            assert [row["confidence"] for row in rows] == pytest.approx(probabilities.max(axis=1))
            ties = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
            correct = [bool(r) for r in (scores.argmax(axis=1) == gold) & ~ties]
            assert [row["correct"] for row in rows] == correct
            assert metrics["acc"] == pytest.approx(np.mean(correct))
            assert metrics["acc_full_vocab"] == pytest.approx(np.mean([row["correct_full_vocab"] for row in rows]))
            assert metrics["ece"] == pytest.approx(
                expected_calibration_error([row["confidence"] for row in rows], correct)
            )
            said = [row["next_token"]["text"].strip() == row["gold"] for row in rows]
            assert metrics["acc_published"] == pytest.approx(np.mean(said))
            assert {len(row["next_token"]["top_log_probabilities"]) for row in rows} == {10}
            picked = probabilities[range(len(gold)), gold]
            assert metrics["nll"] == pytest.approx(-np.log(picked).mean())
            assert metrics["brier"] == pytest.approx(((probabilities - np.eye(len(labels))[gold]) ** 2).sum(1).mean())
            for metric in ("acc", "acc_full_vocab", "ece", "ece_mass"):
                lower, upper = evaluation.intervals[metric]
                assert 0 <= lower <= upper <= 1
            seen += 1
    assert seen >= 5


def answer_probability(row: dict[str, Any]) -> float | None:
    """Product of the probabilities of the tokens that hold the first answer behind `####`, character by character."""
    found = re.search(r"####\s*(\S+)", row["prediction"])
    if found is None:
        return None
    characters = range(*found.span(1))
    tokens = {next(i for i, end in enumerate(row["token_ends"]) if end > character) for character in characters}
    return math.prod(math.exp(row["token_log_likelihoods"][i]) for i in tokens)


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_multi_token_metrics_follow_from_the_rows(protocol: Any, request: pytest.FixtureRequest) -> None:
    run: SmallRun = request.getfixturevalue(f"{protocol}_run")
    answers, queries = ANSWER_FORMATS["hash_line"], load_benchmark(MULTI).evaluation[:LIMIT]
    for method in ALL_METHODS:
        record = run.record(method, MULTI)
        rows, metrics = run.samples(record), record.evaluations[0].metrics
        assert [row["gold"] for row in rows] == [query.answer for query in queries]
        for row in rows:
            assert row["confidence"] == pytest.approx(answer_probability(row)) and row["log_likelihoods"] == []
            assert row["correct"] == answers.correct(row["prediction"], row["gold"], protocol)
        known = [row for row in rows if row["confidence"] is not None]
        assert metrics.get("ece_n", 0) == len(known)
        if known:
            pairs = [row["confidence"] for row in known], [row["correct"] for row in known]
            assert metrics["ece"] == pytest.approx(expected_calibration_error(*pairs))
        assert metrics["tokens"] == pytest.approx(np.mean([len(row["token_ends"]) for row in rows]))
        assert metrics["acc"] == pytest.approx(np.mean([row["correct"] for row in rows]))
        assert metrics["unparsed"] == pytest.approx(
            np.mean([not answers.parse(row["prediction"], protocol) for row in rows])
        )
    assert any(row["correct"] for row in run.samples(run.record("icl", MULTI)))


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_what_is_scored_of_a_generated_answer(
    protocol: str, hub_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A strict answer may go on after a blank line, and counts; a paper answer ends there, whatever the model adds."""
    asked: list[Any] = []

    def answer(self: IA2HF, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        asked.extend(requests)
        answers = {e.prompt: e.answer for e in load_benchmark("gsm8k", hub_rows).evaluation}
        return ["Let me see.\n\n" + answers[request.args[0]] for request in requests]

    monkeypatch.setattr(IA2HF, "generate_until", answer)
    recipe = small_recipe(
        protocol=protocol, benchmarks=[{"source": "gsm8k", "n": 4, "evals": ["gsm8k"]}], methods=["no_icl"], limit=3
    )
    files = locate(recipe.base)
    base = load(files, "cpu")
    (cell,) = planned(recipe, files.base, hub_rows)
    (evaluation,) = Evaluator(Store(tmp_path), base.tokenizer, Settings(hub_rows)).evaluate(cell, base.model)
    assert len(asked) == 3
    for request in asked:
        assert request.doc["protocol"] == protocol  # says where a text may stop
        assert (request.args[1]["max_gen_toks"], request.args[1]["do_sample"]) == (200, False)
    assert evaluation.metrics["acc"] == (1.0 if protocol == "strict" else 0.0)


def test_tasks_that_were_loaded_before_give_the_same(tmp_path: Path) -> None:
    """An evaluator that has shown demonstrations shows none to the next cell that wants none, and the other way."""
    recipe = small_recipe(methods=["no_icl", "icl"], seeds=[0, 1], limit=6)
    files = locate(recipe.base)
    base = load(files, "cpu")
    plain, first, second = planned(recipe, EMBEDDED)
    used = Evaluator(Store(tmp_path), base.tokenizer)
    told = [used.evaluate(cell, base.model) for cell in (plain, first, plain, second, first)]
    fresh = [Evaluator(Store(tmp_path), base.tokenizer).evaluate(cell, base.model) for cell in (plain, first, second)]
    assert told == [fresh[0], fresh[1], fresh[0], fresh[2], fresh[1]]
    assert len({str(e[0].metrics) for e in fresh}) == 3


def test_whether_the_base_shares_prefixes_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    trial = ia2_hf.can_share_prefix
    monkeypatch.setattr(ia2_hf, "can_share_prefix", lambda model: tried.append(model) or trial(model))
    small_run(small_recipe(methods=["icl", "sft"], seeds=[0, 1], epochs=1, temperature_scaling=True), tmp_path)
    assert len(tried) == 1


@pytest.mark.parametrize("task", [SINGLE, MULTI])
def test_adapters_load_in_plain_lm_eval(task: str, strict_run: SmallRun) -> None:
    for method in ("sft", "ia2_sft"):
        record = strict_run.record(method, task)
        output = lm_eval.simple_evaluate(
            model="hf",
            model_args={
                "pretrained": str(MODEL_DIRECTORY),
                "peft": str(strict_run.store.adapter_path(record.key)),
                "device": "cpu",
                "dtype": "float32",
            },
            tasks=[f"ia2_{task}"],
            task_manager=TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False),
            limit=LIMIT,
            bootstrap_iters=0,
            verbosity="ERROR",
        )
        assert output is not None
        metrics = output["results"][f"ia2_{task}"]
        evaluation = record.evaluations[0]
        assert metrics["acc,none"] == evaluation.metrics["acc"]
        if task == SINGLE:
            assert metrics["nll,none"] == pytest.approx(evaluation.metrics["nll"], abs=1e-5)
