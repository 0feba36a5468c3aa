"""The temperature of a cell: which examples it is fitted to, how the model reads them, and what becomes of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ia2_eval.benchmarks import draw_training_set, load_benchmark, with_demonstrations
from ia2_eval.experiments.record import Record
from ia2_eval.lm.base_model import load, locate
from tests.experiments.small_runs import EMBEDDED, SmallRun, small_recipe, small_run

SINGLE, MULTI = "embedded_mood", "embedded_arithmetic"
DATA = load_benchmark(SINGLE)
TRAINING_SET = draw_training_set(DATA, 4, 0)
LABELS = DATA.benchmark.labels or ()


def dev_rows(run: SmallRun, record: Record) -> list[dict[str, Any]]:
    path = record.evaluations[0].dev_samples
    assert path == f"samples/{record.key}/{record.cell.source}.dev.jsonl"
    return [json.loads(line) for line in (run.store.directory / path).read_text().splitlines()]


def digests(prompts: list[str]) -> list[str]:
    return [hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts]


def test_the_dev_examples_are_read_as_the_queries_are(calibrated_run: SmallRun) -> None:
    bare = [example.prompt for example in TRAINING_SET.dev]
    assert len(bare) == 2
    shown = [with_demonstrations(TRAINING_SET.train, prompt) for prompt in bare]
    for method, prompts in (("icl", shown), ("sft", bare)):
        rows = dev_rows(calibrated_run, calibrated_run.record(method))
        assert [row["prompt_sha256"] for row in rows] == digests(prompts)
        assert [row["gold"] for row in rows] == [example.answer for example in TRAINING_SET.dev]
    assert dev_rows(calibrated_run, calibrated_run.record("icl")) != dev_rows(
        calibrated_run, calibrated_run.record("sft")
    )


def test_the_log_likelihoods_are_those_of_the_model(calibrated_run: SmallRun) -> None:
    base = load(locate(EMBEDDED), "cpu")
    for row, example in zip(dev_rows(calibrated_run, calibrated_run.record("icl")), TRAINING_SET.dev, strict=True):
        prompt = with_demonstrations(TRAINING_SET.train, example.prompt)
        with torch.no_grad():
            logits = base.model(base.tokenizer(prompt, return_tensors="pt").input_ids).logits[0, -1]
        ids = [base.tokenizer(prompt + label).input_ids[-1] for label in LABELS]
        assert row["log_likelihoods"] == pytest.approx(logits.log_softmax(-1)[ids].tolist(), abs=1e-4)


def test_the_published_protocol_shows_the_demonstrations_of_a_training_example(tmp_path: Path) -> None:
    run = small_run(small_recipe(protocol="paper", methods=["icl"], limit=2, temperature_scaling=True), tmp_path)
    prompts = [
        with_demonstrations(TRAINING_SET.train_demonstrations(j), example.prompt)
        for j, example in enumerate(TRAINING_SET.dev)
    ]
    (record,) = run.records
    assert [row["prompt_sha256"] for row in dev_rows(run, record)] == digests(prompts)


def log_probabilities(rows: list[dict[str, Any]], labels: tuple[str, ...], temperature: float) -> Any:
    """Of the gold labels."""
    scores = np.array([row["log_likelihoods"] for row in rows]) / temperature
    gold = [labels.index(row["gold"]) for row in rows]
    scores = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return scores[range(len(rows)), gold]


def test_the_temperature_makes_the_dev_set_most_likely(tmp_path: Path) -> None:
    source = [{"source": "embedded_mood_noisy", "n": 16}]
    run = small_run(small_recipe(benchmarks=source, methods=["icl"], seeds=[1], temperature_scaling=True), tmp_path)
    (record,), labels = run.records, load_benchmark("embedded_mood_noisy").benchmark.labels or ()
    dev, metrics = dev_rows(run, record), record.evaluations[0].metrics
    temperature = metrics["temperature"]
    assert 0.1 < temperature < 10
    fitted = log_probabilities(dev, labels, temperature).mean()
    assert all(fitted > log_probabilities(dev, labels, temperature * factor).mean() for factor in (0.5, 0.9, 1.1, 2.0))
    assert metrics["temperature_dev_n"] == len(dev) == 8
    rows = run.samples(record)
    assert metrics["nll_scaled"] == pytest.approx(-log_probabilities(rows, labels, temperature).mean())
    assert metrics["nll_scaled"] != metrics["nll"]


def test_it_stands_beside_the_others(calibrated_run: SmallRun, strict_run: SmallRun) -> None:
    for method in ("icl", "sft"):
        plain, scaled = (run.record(method).evaluations[0].metrics for run in (strict_run, calibrated_run))
        assert scaled.keys() - plain.keys() == {
            *("temperature", "temperature_dev_n", "ece_scaled", "nll_scaled", "brier_scaled")
        }
        assert {name: scaled[name] for name in plain} == plain


def test_who_has_none(calibrated_run: SmallRun, strict_run: SmallRun) -> None:
    without = [calibrated_run.record("no_icl"), calibrated_run.record("icl", MULTI), strict_run.record("icl")]
    for record in without:
        assert {evaluation.dev_samples for evaluation in record.evaluations} == {None}
        assert not any("temperature" in evaluation.metrics for evaluation in record.evaluations)
    assert calibrated_run.record("no_icl").key == strict_run.record("no_icl").key


def test_one_temperature_for_all_benchmarks_of_a_cell(tmp_path: Path, hub_rows: Path) -> None:
    recipe = small_recipe(
        benchmarks=[{"source": "sciqr", "n": 4}], methods=["icl"], limit=4, temperature_scaling=True
    )  # its partner has eight labels, the source four
    (record,) = small_run(recipe, tmp_path, hub_rows).records
    assert record.status == "ok", record.error
    source, partner = record.evaluations
    assert (source.eval, partner.eval) == ("sciqr", "qascr")
    assert source.dev_samples == partner.dev_samples == f"samples/{record.key}/sciqr.dev.jsonl"
    assert source.metrics["temperature"] == partner.metrics["temperature"]
    assert "nll_scaled" in partner.metrics
