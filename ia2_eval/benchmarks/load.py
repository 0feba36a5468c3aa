"""The examples of a benchmark, from its rows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from ia2_eval.benchmarks.benchmark import Benchmark, BenchmarkData, EmbeddedSource, Example
from ia2_eval.benchmarks.prompts import sciq_choices
from ia2_eval.benchmarks.registry import get_benchmark
from ia2_eval.benchmarks.rows import open_rows, require_directory
from ia2_eval.benchmarks.selection import EVALUATION_SIZE, POOL_SIZE, EvaluationOnly, Selected
from ia2_eval.errors import UserError

DATA_DIR_VARIABLE = "IA2_DATA_DIR"


def load_benchmark(name: str, data_dir: Path | None = None) -> BenchmarkData:
    """Pool and evaluation set of a benchmark.

    Args:
        name: key into `BENCHMARKS`.
        data_dir: local data, one folder per data set with `{train,validation,test}.jsonl` in the hub's columns; None
            for the directory in the environment variable `IA2_DATA_DIR`, else the hub. The embedded benchmarks are
            generated and read neither.

    Raises:
        UserError: no such benchmark, data that are missing or broken, or the hub out of reach.
    """
    directory = data_directory(data_dir)
    # A run loads the same benchmark for every cell. Pinned and generated rows stay as they are, local files may change.
    return _load_once(name) if directory is None else _load(name, directory)


@cache
def _load_once(name: str) -> BenchmarkData:
    return _load(name, None)


def _load(name: str, directory: Path | None) -> BenchmarkData:
    benchmark = get_benchmark(name)
    rows = open_rows(benchmark, directory)
    selected = benchmark.selection.select(rows)
    if not selected.evaluation:
        raise UserError(f"{name} has no rows to evaluate on. {' '.join(rows.notes + list(selected.notes))}".strip())
    examples = benchmark.examples([*selected.pool, *selected.evaluation])
    pool, evaluation = examples[: len(selected.pool)], examples[len(selected.pool) :]
    return BenchmarkData(
        benchmark=benchmark,
        pool=tuple(pool),
        evaluation=tuple(evaluation),
        notes=(*rows.notes, *selected.notes, *_size_notes(benchmark, selected)),
        fingerprint=_fingerprint(pool, evaluation),
    )


def data_directory(data_dir: Path | None) -> Path | None:
    """`data_dir`, else the directory in `IA2_DATA_DIR`, else None for the hub."""
    if data_dir is not None:
        return data_dir
    from_environment = os.environ.get(DATA_DIR_VARIABLE)
    return Path(from_environment) if from_environment else None


def existing_data_directory(data_dir: Path | None) -> Path | None:
    """`data_directory`, where nothing is read from the hub instead of one that is not there.

    Raises:
        UserError: there is no such directory.
    """
    directory = data_directory(data_dir)
    if directory is not None:
        require_directory(directory)
    return directory


def _size_notes(benchmark: Benchmark, selected: Selected) -> Iterator[str]:
    if isinstance(benchmark.source, EmbeddedSource):
        return
    pool, evaluation = len(selected.pool), len(selected.evaluation)
    if pool < POOL_SIZE and not isinstance(benchmark.selection, EvaluationOnly):
        yield f"the pool has {pool} examples (the paper's cap is {POOL_SIZE})"
        if benchmark.examples is sciq_choices:
            yield f"options of the evaluation set are in another order than the paper's, whose pool has {POOL_SIZE}"
    if evaluation < EVALUATION_SIZE:
        yield f"the evaluation set has {evaluation} examples (the paper's cap is {EVALUATION_SIZE})"


def joint_fingerprint(data: Iterable[BenchmarkData]) -> str:
    """sha256 of the examples of several benchmarks, in their order."""
    return hashlib.sha256("".join(loaded.fingerprint for loaded in data).encode()).hexdigest()


def _fingerprint(pool: Sequence[Example], evaluation: Sequence[Example]) -> str:
    parts = [[[example.prompt, example.answer] for example in part] for part in (pool, evaluation)]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()
