"""References and reruns with known answers, written as runs write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ia2_eval.experiments.record import Record, StoredTraining
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.lm.base_model import Base
from ia2_eval.regression.check import Check
from ia2_eval.regression.gate import Gate, Reruns, checks
from ia2_eval.regression.machine import Machine
from ia2_eval.regression.reference import MANIFEST, Manifest, RunSettings, load_reference
from tests.leaderboard.synthetic_run import make_record, write_run

HERE = Machine(device="cpu", processor="x86_64", instructions="AVX2", threads=1, versions={"torch": "2.13.0"})
FLOAT32 = Base(model="tiny", fingerprint="f" * 8)


def label_rows(correct: Sequence[bool], nudge: float = 0.0, gold: str = "0") -> list[dict[str, Any]]:
    """Rows of a benchmark with two labels; the log-likelihood of the predicted one is nudged."""
    rows = []
    for i, right in enumerate(correct):
        other = "1" if gold == "0" else "0"
        likely, unlikely = -0.1 + nudge, -2.3
        log_likelihoods = [likely, unlikely] if right == (gold == "0") else [unlikely, likely]
        confidence = float(1 / (1 + np.exp(unlikely - likely)))
        rows.append(
            {
                "prompt_sha256": f"{i:064d}",
                "prediction": gold if right else other,
                "confidence": confidence,
                "correct": bool(right),
                "correct_full_vocab": bool(right),
                "log_likelihoods": log_likelihoods,
                "gold": gold,
            }
        )
    return rows


@dataclass
class Written:
    """What one side has: rows by (method, seed), and what its records say besides."""

    rows: dict[tuple[str, int], list[dict[str, Any]]]
    base: Base = FLOAT32
    changes: dict[str, Any] = field(default_factory=dict)  # of the cell
    train_loss: float = 0.1

    def write(self, directory: Path) -> list[Record]:
        records = []
        for (method, seed), rows in self.rows.items():
            record = make_record(method, {"sst2": _accuracy(rows)}, seed=seed, base=self.base, examples=len(rows))
            record = _changed(record, self.changes, self.train_loss)
            write_run(directory, [record], rows)
            records.append(record)
        return records


def _accuracy(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {"acc": float(np.mean([row["correct"] for row in rows]))}


def write_adapter(directory: Path, record: Record) -> None:
    """A stored adapter that can be read."""
    assert record.training is not None
    path = directory / "adapters" / record.key
    path.mkdir(parents=True)
    save_file({"weight": np.zeros(1, dtype=np.float32)}, path / "adapter_model.safetensors")
    stored = StoredTraining(training=record.training, together=1, seconds=1.0)
    (path / "training.json").write_text(stored.model_dump_json(), encoding="utf-8")


def _changed(record: Record, changes: dict[str, Any], train_loss: float) -> Record:
    cell = record.cell.model_copy(update=changes)
    training = record.training
    if training is not None:
        phases = tuple(phase.model_copy(update={"train_loss": train_loss}) for phase in training.phases)
        training = training.model_copy(update={"phases": phases})
    evaluations = tuple(e.model_copy(update={"samples": f"samples/{cell.key}/sst2.jsonl"}) for e in record.evaluations)
    return record.model_copy(update={"key": cell.key, "cell": cell, "training": training, "evaluations": evaluations})


def judged(tmp_path: Path, reference: Written, rerun: Written, exact: bool, stored: bool = False) -> list[Check]:
    """The checks of one rerun but those of scoring; with `stored` its adapters count as the reference's."""
    records = reference.write(tmp_path / "reference")
    rerun.write(tmp_path / "rerun")
    manifest = Manifest(
        name="synthetic",
        created="2026-01-01T00:00:00+00:00",
        git_commit=None,
        machine=HERE,
        settings=RunSettings(batch_size=32, micro_batch_size=None, adapters_per_pass=15),
        stored=tuple(record.key for record in records if record.cell.trained) if stored else (),
    )
    if stored:
        for record in records:
            write_adapter(tmp_path / "reference", record)
    (tmp_path / "reference" / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    run = read_run(tmp_path / "rerun")
    reruns = Reruns(run, None) if stored else Reruns(None, run)
    found = checks(load_reference(tmp_path / "reference"), reruns, Gate(exact=exact))
    return [check for check in found if check.kind != "scoring"]
