"""`ia2-eval status` on a run of ten thousand cells as a user gives it, start of Python included.

The records are made up, in the form and the size of real ones: cells with four evaluations, of three benchmarks. One
in a hundred has failed, for one of three causes, and one in twenty is still left.

    python bench/status.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from synthetic_results import METHODS

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Provenance, Record, Training, TrainingPhase
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import Base
from ia2_eval.scoring.version import SCORING_VERSION

CAUSES = ("OutOfMemoryError: CUDA out of memory", "ValueError: cannot reshape", "HTTPError: 503")
NAMES = "acc ece ece_mass ece_noise_floor mce ece_classwise brier nll auroc acc_at_coverage_50 acc_at_coverage_80 "
NAMES += "acc_full_vocab acc_published ece_published entropy_published"
LEFT, FAILED = 20, 100
"""One cell in so many."""


def write_run(directory: Path, cells: int) -> int:
    """Write the plan and the records of a run; gives the mean size of a record in bytes."""
    store = Store(directory)
    planned = [cell for cell, _ in zip(_cells(), range(cells), strict=False)]
    store.write_plan(planned)
    rng = np.random.default_rng(0)
    for number, cell in enumerate(planned):
        if number % LEFT:
            store.write_record(_record(cell, number, rng))
    sizes = [path.stat().st_size for path in (directory / "records").iterdir()]
    return sum(sizes) // len(sizes)


def _cells() -> Iterator[Cell]:
    for seed, source, n, method, rate in product(
        range(1000), ("sst2", "agn", "gsm8k"), (2, 4, 8, 16), METHODS[2:], (1e-4, 3e-4, 1e-3)
    ):
        evals = (source, *get_benchmark(source).out_of_distribution)
        base = Base(model="Qwen/Qwen3-4B-Base", fingerprint="f" * 64)
        trained = {"adapter": Lora(), "learning_rate": rate, "epochs": 50, "batch_size": 4, "target_tokens": 1}
        yield Cell(base=base, source=source, n=n, seed=seed, method=method, evals=evals, data="d" * 64, **trained)


def _record(cell: Cell, number: int, rng: np.random.Generator) -> Record:
    versions = dict.fromkeys(
        "python ia2-eval lm_eval torch transformers peft accelerate datasets netcal".split(), "1.2"
    )
    provenance = Provenance(
        created="2026-01-01T00:00:00+00:00", versions=versions, device="cuda", wall_seconds=20 + float(rng.random())
    )
    if number % FAILED == 1:
        cause = CAUSES[number // FAILED % len(CAUSES)]
        traceback = "Traceback (most recent call last):\n" + "  File 'x.py', line 1, in f\n" * 30 + cause
        failed = {"status": "failed", "error": traceback, "cause": cause}
        return Record(key=cell.key, cell=cell, provenance=provenance, **failed)
    phase = TrainingPhase(
        loss="cross_entropy", steps=200, kept_step=150, dev_loss=float(rng.random()), train_loss=0.01, stopped="budget"
    )
    values = [dict(zip(NAMES.split(), map(float, rng.random(len(NAMES.split()))), strict=True)) for _ in range(4)]
    evaluations = tuple(
        Evaluation(
            eval=name,
            ood=name != cell.source,
            n=500,
            metrics=metrics,
            intervals={metric: (value - 0.1, value + 0.1) for metric, value in metrics.items()},
            samples=f"samples/{cell.key}/{name}.jsonl",
            scoring_version=SCORING_VERSION,
        )
        for name, metrics in zip(cell.evals, values, strict=False)
    )
    training = Training(phases=(phase,), extra_labels=4, trainable_parameters=5_898_240, adapter=f"adapters/{cell.key}")
    return Record(
        key=cell.key, cell=cell, status="ok", provenance=provenance, training=training, evaluations=evaluations
    )


def seconds(command: list[str]) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-m", "ia2_eval.cli", *command], check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = write_run(Path(folder), arguments.cells)
        print(f"{arguments.cells} cells, records of {size} bytes; start of Python alone {seconds(['--version']):.2f} s")
        for name, command in {
            "status": ["status", folder],
            "status --json": ["status", folder, "--json"],
            "gc": ["gc", folder],
        }.items():
            taken = [seconds(command) for _ in range(arguments.repeats)]
            print(f"ia2-eval {name}: {median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f}, n={len(taken)})")


if __name__ == "__main__":
    main()
