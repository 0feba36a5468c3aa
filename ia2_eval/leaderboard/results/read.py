"""What a run left on disk, validated. A file that cannot be used is named, never skipped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Record, parse_record
from ia2_eval.experiments.store import Store
from ia2_eval.frozen import one_line
from ia2_eval.scoring.samples import GenerationSample, LabelSample

PLAN = "plan.json"

SHARES = frozenset(
    "acc acc_full_vocab acc_published acc_normalised acc_at_coverage_50 acc_at_coverage_80 auroc auroc_agreement mce "
    "ece ece_mass ece_noise_floor ece_classwise ece_published ece_scaled ece_agreement unparsed".split()
)
"""Metrics that lie between 0 and 1."""
ROUNDING = 1e-6

Sample = LabelSample | GenerationSample


class Run(NamedTuple):
    """A directory that `ia2-eval run` wrote."""

    directory: Path
    records: tuple[Record, ...]
    plan: dict[str, Cell] | None  # planned cells by key, oldest first; None where the run has no plan, or a faulty one
    faults: tuple[str, ...]  # files that cannot be used, one line each
    notes: tuple[str, ...] = ()

    def record_path(self, record: Record) -> Path:
        return Store(self.directory).record_path(record.key)

    def samples(self, evaluation: Evaluation) -> tuple[Sample, ...]:
        """Per-example rows of one evaluation; of the one kind or the other, as its benchmark's answers are.

        Raises:
            UserError: the file is absent, has a row that is not valid (the line is named), or not one row per example.
        """
        single_token = get_benchmark(evaluation.eval).single_token
        kind: type[Sample] = LabelSample if single_token else GenerationSample
        try:
            return tuple(Store(self.directory).read_rows(evaluation.samples, kind, evaluation.n))
        except OSError as error:
            raise UserError(f"{evaluation.samples}: cannot be read ({error})") from error
        except ValueError as error:
            raise UserError(str(error)) from error


def read_run(run_directory: Path) -> Run:
    """`plan.json` and every `records/*.json` in the order of their names, and one line per file that cannot be used.

    Raises:
        UserError: the directory holds neither.
    """
    plan_path = run_directory / PLAN
    paths = sorted((run_directory / "records").glob("*.json"))
    if not paths and not plan_path.exists():
        raise UserError(
            f"{run_directory} holds no records/*.json and no {PLAN}. "
            f"Give the directory of a run: `ia2-eval run RECIPE.yaml --out {run_directory}` writes one."
        )
    records, plan, faults = [], None, []
    if plan_path.exists():
        try:
            plan = _read_plan(plan_path)
        except (OSError, ValueError, UserError) as error:
            faults.append(f"{PLAN}: {one_line(error)}")
    for path in paths:
        try:
            records.append(_read_record(path))
        except (OSError, ValueError, UserError) as error:
            faults.append(f"records/{path.name}: {one_line(error)}")
    return Run(run_directory, tuple(records), plan, tuple(faults))


def _read_plan(path: Path) -> dict[str, Cell]:
    plan = TypeAdapter(dict[str, Cell]).validate_json(path.read_bytes())
    for key, cell in plan.items():
        if key != cell.key:
            raise ValueError(f"cell {key} has the key {cell.key}: it was altered")
        _check_cell(cell)
    return plan


def _read_record(path: Path) -> Record:
    record = parse_record(path.read_bytes(), path.stem)
    cell = record.cell
    if cell.trained and record.status == "ok" and record.training is None:
        raise ValueError(f"method {cell.method} finished without `training`")
    _check_cell(cell)
    for evaluation in record.evaluations:
        require_possible(evaluation.metrics, evaluation.eval)
    return record


def require_possible(metrics: Mapping[str, float], where: str) -> None:
    """
    Raises:
        ValueError: a metric is no number, or cannot have its value.
    """
    for name, value in metrics.items():
        if isnan(value) or (name in SHARES and not -ROUNDING <= value <= 1 + ROUNDING):
            between = ", which lies between 0 and 1" if name in SHARES else ""
            raise ValueError(f"{where}: {name} is {value}{between}: it was altered")


def _check_cell(cell: Cell) -> None:
    if cell.trained and None in (cell.adapter, cell.learning_rate, cell.n, cell.seed):
        raise ValueError(f"method {cell.method} needs adapter, learning_rate, n and seed in its cell")
    for benchmark in (cell.source, *cell.evals):
        get_benchmark(benchmark)
