"""Records and sample files with known numbers, written as a run writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.experiments.adapter_specs import AdapterSpec, Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Provenance, Record, Training, TrainingPhase
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.version import SCORING_VERSION

Metrics = Mapping[str, Mapping[str, float]]  # eval -> metric -> value


def make_record(
    method: str,
    metrics: Metrics,
    *,
    source: str = "sst2",
    n: int = 4,
    seed: int = 0,
    learning_rate: float = 1e-3,
    dev_loss: float | None = 1.0,
    protocol: Protocol = "strict",
    error: str | None = None,
    examples: int = 10,
    limit: int | None = None,
    created: str = "2026-01-01T00:00:00+00:00",
    intervals: Mapping[str, tuple[float, float]] | None = None,
    base: Base | None = None,
    notes: tuple[str, ...] = (),
    adapter: AdapterSpec | None = None,
    options: Mapping[str, Any] | None = None,
    scoring_version: int = SCORING_VERSION,
) -> Record:
    """A finished record, or a failed one where `error` is given. `options`: of the method, such as `labels`."""
    trained = method not in ("no_icl", "icl")
    cell = Cell(
        base=base or Base(model="tiny"),
        source=source,
        n=None if method == "no_icl" else n,
        seed=None if method == "no_icl" else seed,
        method=method,
        **(options or {}),
        adapter=(adapter or Lora()) if trained else None,
        learning_rate=learning_rate if trained else None,
        epochs=50 if trained else None,
        batch_size=4 if trained else None,
        protocol=protocol,
        evals=tuple(metrics),
        limit=limit,
        data="d" * 64,
    )
    evaluations = tuple(
        Evaluation(
            eval=name,
            ood=name != source,
            n=examples,
            metrics=dict(values),
            intervals=dict(intervals or {}),
            samples=f"samples/{cell.key}/{name}.jsonl",
            notes=notes,
            scoring_version=scoring_version,
        )
        for name, values in metrics.items()
    )
    phase = TrainingPhase(loss="ce", steps=9, kept_step=5, dev_loss=dev_loss, train_loss=0.1, stopped="budget")
    return Record(
        key=cell.key,
        cell=cell,
        status="failed" if error else "ok",
        error=error,
        provenance=Provenance(created=created, versions={}, device="cpu", wall_seconds=1.0, peak_memory_bytes=1),
        training=Training(phases=(phase,), extra_labels=2, trainable_parameters=8, adapter=f"adapters/{cell.key}")
        if trained and not error
        else None,
        evaluations=() if error else evaluations,
    )


def gsm8k(method: str, *calibration: Mapping[str, float], **keywords: Any) -> list[Record]:
    """A record for each seed, with the calibration that is known of it."""
    return [
        make_record(method, {"gsm8k": {"acc": 0.5, "unparsed": 0.05} | ece}, source="gsm8k", seed=seed, **keywords)
        for seed, ece in enumerate(calibration)
    ]


def write_run(directory: Path, records: Sequence[Record], samples: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """Writes the records, and for each evaluation the same sample rows.

    By default `examples` rows, half of them correct; of generated texts their confidence is not known then.
    """
    (directory / "records").mkdir(parents=True, exist_ok=True)
    for record in records:
        (directory / "records" / f"{record.key}.json").write_text(record.model_dump_json(), encoding="utf-8")
        for evaluation in record.evaluations:
            path = directory / evaluation.samples
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = samples or [
                sample(0.5 + 0.5 * i / evaluation.n, i % 2 == 0)
                if get_benchmark(evaluation.eval).single_token
                else generation(None, i % 2 == 0)
                for i in range(evaluation.n)
            ]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return directory


def write_plan(directory: Path, records: Sequence[Record]) -> Path:
    """Writes a plan of the cells of these records, finished or not."""
    directory.mkdir(parents=True, exist_ok=True)
    plan = {record.key: record.cell.model_dump(mode="json") for record in records}
    (directory / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    return directory


def sample(confidence: float, correct: bool, next_token: tuple[str, Sequence[float]] | None = None) -> dict[str, Any]:
    """A row of a single-token benchmark's sample file. `next_token`: decoded, and the ten greatest probabilities."""
    published = (
        {"next_token": {"text": next_token[0], "top_log_probabilities": [log(p) for p in next_token[1]]}}
        if next_token
        else {}
    )
    return published | {
        "prompt_sha256": "0" * 64,
        "prediction": "0",
        "confidence": confidence,
        "correct": correct,
        "correct_full_vocab": correct,
        "log_likelihoods": [-0.1, -2.3],
        "gold": "0",
    }


def generation(confidence: float | None, correct: bool) -> dict[str, Any]:
    """A row of a multi-token benchmark's sample file."""
    return {
        "prompt_sha256": "0" * 64,
        "prediction": "#### 4\n",
        "confidence": confidence,
        "correct": correct,
        "log_likelihoods": [],
        "gold": "#### 4",
    }
