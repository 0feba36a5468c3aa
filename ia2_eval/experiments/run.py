"""Runs the cells of a plan one after the other on one loaded base model."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_eval.experiments.adapt_cell import CellTrainer
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.interruption import remembered
from ia2_eval.experiments.provenance import provenance, reset_peak_memory
from ia2_eval.experiments.record import Evaluation, Record, Training
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import BaseFiles, BaseModel, load, use_threads_for
from ia2_eval.lm.merged import merged_adapter

if TYPE_CHECKING:
    from ia2_training import Check


@dataclass(frozen=True)
class Progress:
    """What a run tells whoever watches it."""

    cell_started: Callable[[Cell], None]
    training: Callable[[Check], None]
    cell_finished: Callable[[Record], None]
    damaged: Callable[[Path, str], None]


def run(cells: list[Cell], files: BaseFiles, store: Store, settings: Settings, progress: Progress) -> list[Record]:
    """Run the cells that have no good record yet; gives the records of all cells, those of failed ones included.

    Each record is written as soon as its cell has ended, so an interrupted run loses the running cell and no other.
    A cell that fails is recorded with its traceback and does not stop the others; the next run tries it again.
    """
    records = {cell.key: record for cell in cells if (record := store.done(cell, progress.damaged))}
    missing = [cell for cell in cells if cell.key not in records]
    if missing:
        base = load(files, settings.device)
        use_threads_for(base.model)
        trainer = CellTrainer(store, base, settings)
        evaluator = Evaluator(store, base.tokenizer, settings)
        try:
            with remembered() as interruption:
                for cell in missing:
                    progress.cell_started(cell)
                    record = _run_cell(cell, base, trainer, evaluator, progress)
                    if record.status == "failed":
                        interruption.check()  # it may have failed because of Ctrl-C
                    store.write_record(record)
                    records[cell.key] = record
                    progress.cell_finished(record)
                    interruption.check()
        finally:
            store.clear_targets()
    return [records[cell.key] for cell in cells]


def _run_cell(cell: Cell, base: BaseModel, trainer: CellTrainer, evaluator: Evaluator, progress: Progress) -> Record:
    started = time.monotonic()
    reset_peak_memory()
    training: Training | None = None
    evaluations: tuple[Evaluation, ...] = ()
    error = None
    try:
        if cell.trained:
            with (
                trainer.trained(cell, progress.training) as (model, training),
                merged_adapter(model) if cell.protocol == "paper" else nullcontext(),
            ):
                evaluations = evaluator.evaluate(cell, model)
        else:
            evaluations = evaluator.evaluate(cell, base.model)
    except Exception:
        error = traceback.format_exc()
        training, evaluations = None, ()
    return Record(
        key=cell.key,
        cell=cell,
        status="failed" if error else "ok",
        error=error,
        provenance=provenance(str(base.model.device), time.monotonic() - started),
        training=training,
        evaluations=evaluations,
    )
