"""A run's directory with made-up results in the size and the form of real ones: records, plan and per-example rows.

Trained methods answer better the more examples they have, fine-tuning alone is overconfident, seeds scatter. Accuracies
and calibration errors are those of the rows; the other metrics are there so that there are as many as in real records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Provenance, Record, Training, TrainingPhase
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.calibration import expected_calibration_error
from ia2_eval.scoring.version import SCORING_VERSION

SOURCES = ("sst2", "fins", "agn", "sciqr", "gsm8k", "hmatha")
METHODS = ("no_icl", "icl", "sft", "ia2", "ia2_sft")
SKILL = {"no_icl": -0.6, "icl": 0.6, "sft": 0.3, "ia2": 0.6, "ia2_sft": 0.9}
"""Of a method on the logit scale, before N and the seed are added."""
OVERCONFIDENCE = {"no_icl": 0.4, "icl": 0.1, "sft": 1.6, "ia2": 0.2, "ia2_sft": 0.5}
FURTHER = ("mce", "ece_classwise", "brier", "nll", "auroc", "acc_at_coverage_50", "acc_at_coverage_80")
TOP = 10


def write_results(
    directory: Path,
    *,
    bases: Sequence[str] = ("Qwen/Qwen3-4B-Base",),
    sources: Sequence[str] = SOURCES,
    sizes: Sequence[int] = (2, 4, 8, 16),
    seeds: int = 5,
    methods: Sequence[str] = METHODS,
    learning_rates: Sequence[float] = (3e-4, 1e-3),
    examples: Sequence[int] = (200, 500),
    protocol: Protocol = "strict",
) -> int:
    """Writes the run; gives the number of its records. The evaluation sets have the `examples` in turn."""
    store = Store(directory)
    cells = list(_cells(bases, sources, sizes, seeds, methods, learning_rates, protocol))
    store.write_plan(cells)
    names = list(BENCHMARKS)
    for number, cell in enumerate(cells):
        rng = np.random.default_rng(number)
        evaluations = []
        for name in cell.evals:
            n = examples[names.index(name) % len(examples)]
            evaluations.append(_evaluate(store, cell, name, n, rng))
        store.write_record(_record(cell, tuple(evaluations), rng))
    return len(cells)


def _cells(
    bases: Sequence[str],
    sources: Sequence[str],
    sizes: Sequence[int],
    seeds: int,
    methods: Sequence[str],
    learning_rates: Sequence[float],
    protocol: Protocol,
) -> Iterator[Cell]:
    for base in bases:
        for source in sources:
            evals = (source, *get_benchmark(source).out_of_distribution)
            common = {
                "base": Base(model=base),
                "source": source,
                "protocol": protocol,
                "evals": evals,
                "data": "d" * 64,
            }
            for method in methods:
                if method == "no_icl":
                    yield Cell(**common, method=method)
                    continue
                for size in sizes:
                    for seed in range(seeds):
                        if method == "icl":
                            yield Cell(**common, method=method, n=size, seed=seed)
                            continue
                        for rate in learning_rates:
                            trained = {"adapter": Lora(), "learning_rate": rate, "epochs": 50, "batch_size": 4}
                            yield Cell(**common, method=method, n=size, seed=seed, **trained, target_tokens=1)


def _record(cell: Cell, evaluations: tuple[Evaluation, ...], rng: np.random.Generator) -> Record:
    phase = TrainingPhase(
        loss="cross_entropy",
        steps=200,
        kept_step=150,
        dev_loss=float(rng.uniform(0.2, 0.4) + (cell.learning_rate or 0) * 100),
        train_loss=0.01,
        stopped="budget",
    )
    versions = dict.fromkeys(("python", "ia2-eval", "lm_eval", "torch", "transformers", "peft", "numpy"), "1.2.3")
    return Record(
        key=cell.key,
        cell=cell,
        status="ok",
        provenance=Provenance(created="2026-01-01T00:00:00+00:00", versions=versions, device="cuda", wall_seconds=31.5),
        training=Training(
            phases=(phase,), extra_labels=4, trainable_parameters=5_898_240, adapter=f"adapters/{cell.key}"
        )
        if cell.trained
        else None,
        evaluations=evaluations,
    )


def _evaluate(store: Store, cell: Cell, name: str, n: int, rng: np.random.Generator) -> Evaluation:
    benchmark = get_benchmark(name)
    skill = SKILL.get(cell.method, 0.4) + 0.25 * np.log2(cell.n or 1) - 0.6 * (name != cell.source)
    skill += 0.25 * rng.normal()
    correct = rng.random(n) < 1 / (1 + np.exp(-skill))
    sure = skill + OVERCONFIDENCE.get(cell.method, 0.5) + 0.7 * (2 * correct - 1) + rng.normal(size=n)
    confidence = 1 / (1 + np.exp(-sure))
    if benchmark.single_token:
        labels = benchmark.labels
        assert labels is not None
        floor = 1 / len(labels)  # the most likely label has at least so much
        confidence = floor + (1 - floor) * confidence
        rows = [_label_row(p, hit, labels, i) for i, (p, hit) in enumerate(zip(confidence, correct, strict=True))]
    else:
        rows = [_text_row(p, hit, i) for i, (p, hit) in enumerate(zip(confidence, correct, strict=True))]
    path = store.relative(store.samples_path(cell.key, name))
    target = store.directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    metrics = _metrics(confidence, correct, benchmark.single_token, rng)
    return Evaluation(
        eval=name,
        ood=name != cell.source,
        n=n,
        metrics=metrics,
        intervals={
            metric: (max(0.0, value - 0.04), min(1.0, value + 0.04))
            for metric, value in metrics.items()
            if metric not in ("ece_noise_floor", "ece_n", "unparsed", "tokens", "entropy_published")
        },
        samples=path,
        scoring_version=SCORING_VERSION,
    )


def _metrics(confidence: Any, correct: Any, single_token: bool, rng: np.random.Generator) -> dict[str, float]:
    accuracy = float(correct.mean())
    equal_mass = expected_calibration_error(confidence, correct, equal_mass=True)
    metrics = {"acc": accuracy, "ece": expected_calibration_error(confidence, correct), "ece_mass": equal_mass}
    metrics["ece_noise_floor"] = 0.8 / len(correct) ** 0.5
    metrics |= {name: float(value) for name, value in zip(FURTHER, rng.random(len(FURTHER)), strict=True)}
    if single_token:
        return metrics | {
            "acc_full_vocab": accuracy,
            "acc_published": accuracy,
            "ece_published": equal_mass,
            "entropy_published": 0.4,
        }
    return metrics | {"unparsed": 0.01, "tokens": 61.0, "ece_n": float(len(correct))}


def _label_row(confidence: float, correct: bool, labels: Sequence[str], number: int) -> dict[str, Any]:
    gold = number % len(labels)
    predicted = gold if correct else (gold + 1) % len(labels)
    others = np.log((1 - confidence) / (len(labels) - 1))
    log_likelihoods = [float(others)] * len(labels)
    log_likelihoods[predicted] = float(np.log(confidence))
    top = [float(np.log(confidence)), *(float(others) - 1 - 0.37 * i for i in range(TOP - 1))]
    return {
        "prompt_sha256": f"{number:064x}",
        "prediction": labels[predicted],
        "confidence": float(confidence),
        "correct": bool(correct),
        "correct_full_vocab": bool(correct),
        "log_likelihoods": log_likelihoods,
        "gold": labels[gold],
        "next_token": {"text": labels[predicted], "top_log_probabilities": sorted(top, reverse=True)},
    }


def _text_row(confidence: float, correct: bool, number: int) -> dict[str, Any]:
    text = f"{number + 3} apples and {number} pears are {2 * number + 3} fruits, of which none is eaten.\n" * 3
    text += f"#### {2 * number + (3 if correct else 4)}"
    ends = [*range(4, len(text), 4), len(text)]
    return {
        "prompt_sha256": f"{number:064x}",
        "prediction": text,
        "confidence": float(confidence),
        "correct": bool(correct),
        "log_likelihoods": [],
        "gold": f"#### {2 * number + 3}",
        "token_ends": ends,
        "token_log_likelihoods": [-0.031415] * len(ends),
        "sampled": [],
        "agreement": None,
    }
