"""Bytes that a sweep leaves on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.benchmarks.training_set import DEV_SIZE
from ia2_eval.experiments.adapt_cell import adapter_of
from ia2_eval.experiments.adapter_specs import Full, Ia3, Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.cost.counting import Teaching
from ia2_eval.experiments.cost.lengths import Lengths
from ia2_eval.lm.base_model import BaseFiles
from ia2_eval.lm.size import ADAPTER_VALUE_BYTES, ModelSize, trainable_parameters
from ia2_eval.scoring.model_answers import TOP, NextToken
from ia2_eval.scoring.samples import GenerationSample, LabelSample

ADAPTER_FILES, TENSOR = 1_500, 127
"""Of an adapter beside its weights: configuration and `training.json`, and a line of the weights' header."""
RECORD, EVALUATION = 3_000, 1_700
"""Of a record with its line in the plan, and of each evaluation."""
CHARACTERS = 4
"""Of a token of text, as a rule."""
LOG_LIKELIHOOD, ROUNDED = -1.2345678901234567, -1.234567


class Disk(NamedTuple):
    """Bytes."""

    adapters: int
    samples: int
    """At most, where texts are generated."""
    records: int
    """With the plan."""
    targets: int
    """What the teacher gave, at most; it is deleted when the run is complete."""

    @property
    def total(self) -> int:
        """What stays."""
        return self.adapters + self.samples + self.records


def disk(
    cells: Sequence[Cell],
    files: BaseFiles,
    size: ModelSize,
    lengths: Lengths,
    targets: Mapping[Teaching, tuple[Cell, int]],
) -> Disk:
    """What cells write.

    Args:
        cells: those that are not done.
        files: of the base.
        size: of the base.
        lengths: that know the evaluation sets.
        targets: what the teacher is asked for: a cell that learns from it, and the response tokens at most.
    """
    kinds: dict[tuple[object, ...], int] = {}
    adapters = 0
    for cell in cells:
        if cell.adapter is None:
            continue
        kind = (cell.adapter, cell.protocol)
        if kind not in kinds:
            kinds[kind] = _adapter_bytes(cell, files, size)
        adapters += kinds[kind]
    sets = {(cell.source, cell.n, cell.seed): 0 for cell in cells}
    for cell in cells:
        if cell.trained and cell.training_method.asks_distributions:
            asked = (cell.source, cell.n, cell.seed)
            sets[asked] = max(sets[asked], 4 * size.vocabulary if cell.top_k is None else 12 * cell.top_k)
    position = size.layers * size.width * size.value_bytes
    return Disk(
        adapters=adapters,
        samples=sum(_samples_bytes(cell, lengths) for cell in cells),
        records=sum(RECORD + EVALUATION * len(cell.evals) for cell in cells),
        targets=sum(tokens * (position + sets[cell.source, cell.n, cell.seed]) for cell, tokens in targets.values()),
    )


def _adapter_bytes(cell: Cell, files: BaseFiles, size: ModelSize) -> int:
    if isinstance(cell.adapter, Full):
        return size.weight_bytes + ADAPTER_FILES
    tensors = 1
    if isinstance(cell.adapter, Lora | Ia3):
        tensors = size.layers * len(cell.adapter.modules) * (2 if isinstance(cell.adapter, Lora) else 1)
    weights = trainable_parameters(files, adapter_of(cell)) * ADAPTER_VALUE_BYTES
    return weights + ADAPTER_FILES + tensors * TENSOR


def _samples_bytes(cell: Cell, lengths: Lengths) -> int:
    count = 0
    for name in cell.evals:
        sampled = cell.agreement.samples if cell.agreement else 0
        count += len(lengths.queries(name, cell.limit).prompts) * _row_bytes(name, sampled)
    if cell.temperature_scaling and cell.n:
        count += min(DEV_SIZE, cell.n // 2) * _row_bytes(cell.source, 0)
    return count


@cache
def _row_bytes(name: str, sampled: int) -> int:
    """Of a row of a benchmark, with so many further texts: one like it, written as it is written."""
    benchmark = get_benchmark(name)
    row: LabelSample | GenerationSample
    if benchmark.labels:
        row = LabelSample(
            prompt_sha256="0" * 64,
            prediction=benchmark.labels[0],
            confidence=-LOG_LIKELIHOOD / 10,
            correct=True,
            correct_full_vocab=True,
            log_likelihoods=(LOG_LIKELIHOOD,) * len(benchmark.labels),
            gold=benchmark.labels[0],
            next_token=NextToken(benchmark.labels[0], (LOG_LIKELIHOOD,) * TOP),
        )
    else:
        tokens = benchmark.max_new_tokens
        text = "x" * CHARACTERS * tokens
        row = GenerationSample(
            prompt_sha256="0" * 64,
            prediction=text,
            confidence=-LOG_LIKELIHOOD / 10,
            correct=True,
            gold=text,
            token_ends=tuple(CHARACTERS * number for number in range(1, tokens + 1)),
            token_log_likelihoods=(ROUNDED,) * tokens,
            sampled=(text,) * sampled,
            agreement=-LOG_LIKELIHOOD / 10 if sampled else None,
        )
    return len(json.dumps(row.model_dump(mode="json"))) + 1
