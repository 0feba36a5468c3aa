"""Evaluates one model on the benchmarks of a cell, through lm-eval and the tasks that ship with this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ia2_eval.benchmarks import load_benchmark
from ia2_eval.benchmarks.lm_eval_tasks import load_tasks
from ia2_eval.experiments.agreement import draw_seed, sample_texts
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.dev_samples import dev_samples
from ia2_eval.experiments.record import Evaluation
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.metrics import Measured, measure_generations, measure_labels
from ia2_eval.scoring.samples import GenerationSample, LabelSample, generation_sample, label_sample
from ia2_eval.scoring.version import SCORING_VERSION

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ia2_eval.experiments.batch_sizes import BatchSizes
    from ia2_eval.lm.ia2_hf import IA2HF

Answered = Sequence[Mapping[str, Any]]
"""lm-eval's samples of a task: for each query `doc`, `arguments` and `filtered_resps`."""


@dataclass
class Evaluator:
    """Runs lm-eval tasks; tasks that have been loaded once are used again for the next cell."""

    store: Store
    tokenizer: PreTrainedTokenizerBase
    settings: Settings = field(default_factory=Settings)
    batch_sizes: BatchSizes | None = None
    """None: those of the settings."""
    _tasks: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    _tokens: dict[str, list[int]] = field(default_factory=dict)
    _shares_prefix: bool | None = None
    """True once the base was found to share prefixes. A no is not kept: it may be due to an adapter that diverged."""

    def evaluate(self, cell: Cell, model: PreTrainedModel) -> tuple[Evaluation, ...]:
        """Evaluate the base, with or without the cell's adapter, on the cell's benchmarks; store the samples.

        lm-eval renders the prompts and asks the model; every metric is computed from the rows that are stored.
        """
        from lm_eval.evaluator import evaluate

        from ia2_eval.lm.ia2_hf import IA2HF

        lm = IA2HF(
            pretrained=model,
            tokenizer=self.tokenizer,
            batch_size=self.batch_sizes.evaluation if self.batch_sizes else self.settings.batch_size,
            # The published code computes probabilities in the model's own dtype.
            softmax_dtype="float32" if cell.protocol == "strict" else None,
            shares_prefix=self._shares_prefix,
            tokens=self._tokens,
        )
        tasks = self._load_tasks(cell)
        output = evaluate(lm=lm, task_dict=tasks, limit=cell.limit, bootstrap_iters=0, log_samples=True)
        source = load_benchmark(cell.source, self.settings.data_dir)
        dev = dev_samples(cell, source, lm) if cell.temperature_scaling else []
        dev_path = self.store.write_samples(cell.key, f"{cell.source}.dev", dev) if dev else None
        evaluations = tuple(
            self._evaluation(cell, name, output["samples"][task], lm, dev, dev_path)
            for name, task in zip(cell.evals, self._task_names(cell), strict=True)
        )
        self._shares_prefix = lm.shares_prefix or None
        return evaluations

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
            n, seed = demonstrations or (0, None)
            names = list(dict.fromkeys(self._task_names(cell)))
            self._tasks[key] = load_tasks(names, cell.protocol, n, seed or 0, self.settings.data_dir)
        return self._tasks[key]

    def _evaluation(
        self,
        cell: Cell,
        name: str,
        answered: Answered,
        lm: IA2HF,
        dev: Sequence[LabelSample],
        dev_path: str | None,
    ) -> Evaluation:
        data = load_benchmark(name, self.settings.data_dir)
        labels, answer_format = data.benchmark.labels, data.benchmark.answer_format
        samples: Sequence[LabelSample | GenerationSample]
        if labels:
            samples, measured = _labels(cell, labels, answered, dev)
        else:
            assert answer_format
            samples, measured = _generations(cell, name, answer_format, answered, lm)
        return Evaluation(
            eval=name,
            ood=name != cell.source,
            n=len(samples),
            metrics=measured.metrics,
            intervals=measured.intervals,
            samples=self.store.write_samples(cell.key, name, samples),
            dev_samples=dev_path,
            scoring_version=SCORING_VERSION,
            notes=data.notes,
        )


def _labels(
    cell: Cell, labels: tuple[str, ...], answered: Answered, dev: Sequence[LabelSample]
) -> tuple[list[LabelSample], Measured]:
    samples = [label_sample(_prompt(row), row["filtered_resps"], labels, row["doc"]["gold"]) for row in answered]
    return samples, measure_labels(samples, labels, dev)


def _generations(
    cell: Cell, name: str, answer_format: str, answered: Answered, lm: IA2HF
) -> tuple[list[GenerationSample], Measured]:
    scoring = ANSWER_FORMATS[answer_format]
    sampled: Sequence[tuple[str, ...]] = [()] * len(answered)
    if cell.agreement:
        sampled = sample_texts(lm, answered, cell.agreement, draw_seed(cell.seed, name))
    samples = [
        generation_sample(_prompt(row), row["filtered_resps"][0], row["doc"]["answer"], scoring, cell.protocol, texts)
        for row, texts in zip(answered, sampled, strict=True)
    ]
    return samples, measure_generations(samples, scoring, cell.protocol)


def _prompt(row: Mapping[str, Any]) -> str:
    prompt: str = row["arguments"][0][0]
    return prompt
