"""Evaluates one model on the benchmarks of a cell, through lm-eval and the tasks that ship with this project."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ia2_eval.benchmarks import load_benchmark
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.scoring.calibration import bootstrap_interval, ece_interval, noise_floor
from ia2_eval.scoring.lm_eval_metrics import PAPER_STOP
from ia2_eval.scoring.predictions import predict
from ia2_eval.shipped import TASKS_DIRECTORY

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class Evaluator:
    """Runs lm-eval tasks; tasks that have been loaded once are used again for the next cell."""

    store: Store
    tokenizer: PreTrainedTokenizerBase
    settings: Settings = field(default_factory=Settings)
    _tasks: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    def evaluate(self, cell: Cell, model: PreTrainedModel) -> tuple[Evaluation, ...]:
        """Evaluate the base, with or without the cell's adapter, on the cell's benchmarks; store the samples."""
        from lm_eval.evaluator import evaluate

        from ia2_eval.lm.ia2_hf import IA2HF

        lm = IA2HF(
            pretrained=model,
            tokenizer=self.tokenizer,
            batch_size=self.settings.batch_size,
            # The published code computes probabilities in the model's own dtype.
            softmax_dtype="float32" if cell.protocol == "strict" else None,
        )
        tasks = self._load_tasks(cell)
        output = evaluate(lm=lm, task_dict=tasks, limit=cell.limit, bootstrap_iters=0, log_samples=True)
        return tuple(
            self._evaluation(cell, name, output["results"][task], output["samples"][task])
            for name, task in zip(cell.evals, self._task_names(cell), strict=True)
        )

    def _task_names(self, cell: Cell) -> list[str]:
        if cell.method != "icl":
            return [f"ia2_{name}" for name in cell.evals]
        return [f"ia2_{cell.source}" + (f"_to_{name}" if name != cell.source else "") for name in cell.evals]

    def _load_tasks(self, cell: Cell) -> dict[str, Any]:
        """lm-eval's task objects. Only ICL has demonstrations, so all other cells of a source share theirs."""
        demonstrations = (cell.n, cell.seed) if cell.method == "icl" else None
        key = (cell.protocol, *self._task_names(cell), demonstrations)
        if key not in self._tasks:
            self._tasks = {k: v for k, v in self._tasks.items() if k[-1] is None}  # another seed's are not needed again
            self._tasks[key] = self._fresh_tasks(cell)
        return self._tasks[key]

    def _fresh_tasks(self, cell: Cell) -> dict[str, Any]:
        from lm_eval.tasks import TaskManager

        metadata: dict[str, Any] = {"ia2_protocol": cell.protocol}
        if self.settings.data_dir:
            metadata["ia2_data_dir"] = str(self.settings.data_dir)
        if cell.method == "icl":
            metadata |= {"ia2_n": cell.n, "ia2_seed": cell.seed}
        manager = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata=metadata)
        loaded: dict[str, Any] = manager.load(list(dict.fromkeys(self._task_names(cell))))
        for task in loaded["tasks"].values():
            # The demonstrations of the published protocol differ from query to query and stand in the documents.
            shown = cell.n if cell.method == "icl" and cell.protocol == "strict" else 0
            task.set_config(key="num_fewshot", value=shown)
            if cell.protocol == "paper" and task.get_config("output_type") == "generate_until":
                task.set_config(key="generation_kwargs", value={"until": [PAPER_STOP]}, update=True)
        return loaded

    def _evaluation(self, cell: Cell, name: str, results: dict[str, Any], samples: list[dict[str, Any]]) -> Evaluation:
        rows = [_sample_row(sample) for sample in samples]
        metrics = {
            key.removesuffix(",none"): float(value)
            for key, value in results.items()
            if key.endswith(",none") and isinstance(value, (int, float)) and "stderr" not in key
        }
        if "ece" in metrics:
            metrics["ece_noise_floor"] = noise_floor([row["confidence"] for row in rows]).median
        return Evaluation(
            eval=name,
            ood=name != cell.source,
            n=len(rows),
            metrics=metrics,
            intervals=dict(_intervals(samples)),
            samples=self.store.write_samples(cell.key, name, rows),
            notes=load_benchmark(name, self.settings.data_dir).notes,
        )


def _sample_row(sample: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an example: enough to compute every metric again without the model."""
    doc = sample["doc"]
    prompt = sample["arguments"][0][0]
    row: dict[str, Any] = {"prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest()}
    if doc["choices"]:
        log_likelihoods = [float(response[0]) for response in sample["filtered_resps"]]
        prediction = predict(log_likelihoods, doc["gold"])
        return row | {
            "prediction": doc["choices"][prediction.label],
            "confidence": prediction.confidence,
            "correct": prediction.correct,
            "correct_full_vocab": bool(sample["acc_full_vocab"]),
            "log_likelihoods": log_likelihoods,
            "gold": doc["choices"][doc["gold"]],
        }
    return row | {
        "prediction": sample["filtered_resps"][0],
        "confidence": None,
        "correct": bool(sample["acc"]),
        "log_likelihoods": [],
        "gold": doc["answer"],
    }


def _intervals(samples: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[float, float]]]:
    """95 % bootstrap intervals over the examples, for accuracies and calibration errors."""
    for metric in ("acc", "acc_full_vocab"):
        if metric in samples[0]:
            outcomes = np.array([sample[metric] for sample in samples], dtype=float)
            interval = bootstrap_interval(lambda drawn: drawn.mean(axis=-1), outcomes)
            yield metric, (interval.lower, interval.upper)
    if "ece" in samples[0]:
        confidence, correct = zip(*(sample["ece"] for sample in samples), strict=True)
        for metric, equal_mass in (("ece", False), ("ece_mass", True)):
            interval = ece_interval(confidence, correct, equal_mass=equal_mass)
            yield metric, (interval.lower, interval.upper)
