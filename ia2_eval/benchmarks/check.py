"""The benchmarks as facts to list, and a local data directory checked for every fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ia2_eval.benchmarks.benchmark import Benchmark, BenchmarkData, Example, HubSource
from ia2_eval.benchmarks.load import load_benchmark
from ia2_eval.benchmarks.registry import BENCHMARKS, get_benchmark
from ia2_eval.benchmarks.rows import local_folder, present_files, read_json_lines, split_file
from ia2_eval.benchmarks.selection import OneSplit
from ia2_eval.errors import UserError


@dataclass(frozen=True)
class Facts:
    """What there is to say about a benchmark and its data."""

    name: str
    title: str
    source: str
    pool: int
    """Examples in the pool."""
    evaluation: int
    """Examples in the evaluation set."""
    label_balance: dict[str, int] | None
    """Label -> number of evaluation examples; None for a multi-token benchmark."""
    example: Example
    """The first evaluation example."""
    notes: tuple[str, ...]
    fingerprint: str


def describe(name: str, data_dir: Path | None = None) -> Facts:
    """Facts of a benchmark; `data_dir` and errors as in `load_benchmark`."""
    data = load_benchmark(name, data_dir)
    return Facts(
        name=name,
        title=data.benchmark.title,
        source=str(data.benchmark.source),
        pool=len(data.pool),
        evaluation=len(data.evaluation),
        label_balance=_label_balance(data),
        example=data.evaluation[0],
        notes=data.notes,
        fingerprint=data.fingerprint,
    )


def data_faults(data_dir: Path, names: Sequence[str] | None = None) -> list[str]:
    """Every fault of a local data directory that the benchmarks `names` (None: all that read data) would meet.

    A fault is a missing directory, folder or file, a line that is not JSON, a missing column, a wrong value, or data
    that leave nothing to evaluate on.

    Raises:
        UserError: there is no benchmark of that name.
    """
    benchmarks = [get_benchmark(name) for name in names] if names else list(BENCHMARKS.values())
    faults: list[str] = []
    for benchmark in benchmarks:
        if isinstance(benchmark.source, HubSource):
            faults += _faults(benchmark, benchmark.source, data_dir)
    return list(dict.fromkeys(faults))  # SciQ and SciQr read the same files


def _faults(benchmark: Benchmark, source: HubSource, data_dir: Path) -> list[str]:
    faults: list[str] = []
    try:
        for path in _files(benchmark, local_folder(data_dir, source)):
            read_json_lines(path, benchmark.columns, faults.append)
        if not faults:
            load_benchmark(benchmark.name, data_dir)
    except UserError as error:
        faults.append(str(error))
    return faults


def _files(benchmark: Benchmark, folder: Path) -> list[Path]:
    if isinstance(benchmark.selection, OneSplit):
        return present_files(folder)
    return [split_file(folder, split)[0] for split in benchmark.selection.splits]


def _label_balance(data: BenchmarkData) -> dict[str, int] | None:
    if data.benchmark.labels is None:
        return None
    counts = Counter(example.answer for example in data.evaluation)
    return {label: counts[label] for label in data.benchmark.labels}
