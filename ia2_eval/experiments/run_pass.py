"""Carries out one pass of a plan: its adapters are trained together, then each of its cells is evaluated."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.experiments.adapt_cell import adapter_of
from ia2_eval.experiments.batch_sizes import BatchSizes, Work, free_memory
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.faults import NO_CELLS, cause, kind_of, no_cells_faults, storable
from ia2_eval.experiments.interruption import Interruption
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.provenance import provenance, reset_peak_memory
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.train_cells import CellTrainer
from ia2_eval.lm.base_model import BaseFiles, BaseModel
from ia2_eval.lm.merged import merged_adapter
from ia2_eval.lm.sharded import joined

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Failure(NamedTuple):
    """What became of training, or of an evaluation."""

    error: str
    """Traceback."""
    cause: str
    transient: bool
    of_memory: bool
    seconds: float


class PassRunner:
    """Runs passes on one base. What was found not to fit into memory is remembered from one pass to the next."""

    def __init__(
        self,
        files: BaseFiles,
        base: BaseModel,
        store: Store,
        settings: Settings,
        progress: Progress,
        interruption: Interruption,
    ) -> None:
        self._base, self._store = base, store
        self._progress, self._interruption = progress, interruption
        self._sizes = BatchSizes(base.model, settings, self._halved)
        self._trainer = CellTrainer(store, base, files.base.fingerprint, settings, self._sizes)
        self._evaluator = Evaluator(store, base.tokenizer, settings, self._sizes)

    def run(self, cells: Sequence[Cell], attempts: Mapping[str, int] | None = None) -> list[Record]:
        """Train what has no adapter yet, then evaluate; the records, which are written one by one.

        Args:
            cells: of one pass.
            attempts: by key, how often a cell has been run with this time; once where it is not said.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, however little is left of the exception that it gave rise to.
            UserError: files cannot be written, or read; no cell counts as failed for it.
            DeviceLostError: this process cannot use its device any longer; no cell counts as failed for it.
        """
        with no_cells_faults(self._store.directory):
            return self._run(cells, attempts or {})

    def _run(self, cells: Sequence[Cell], attempts: Mapping[str, int]) -> list[Record]:
        failures = self._train(cells)
        records = []
        for cell in cells:
            self._progress.cell_started(cell)
            failure = failures.get(cell.key)
            record = self._failed(cell, failure) if failure else self._evaluate(cell)
            if record.status == "failed":
                self._interruption.check()  # it may have failed because of Ctrl-C
            record = record.model_copy(update={"attempt": attempts.get(cell.key, 1)})
            self._store.write_record(record)
            records.append(record)
            self._progress.cell_finished(record)
            self._interruption.check()
        return records

    def _train(self, cells: Sequence[Cell]) -> dict[str, Failure]:
        """Train the adapters that the store lacks; failures by key."""
        damaged = self._progress.damaged
        lacking = [cell for cell in cells if cell.trained and not self._store.training(cell.key, damaged)]
        failures: dict[str, Failure] = {}
        before = self._sizes.training, self._sizes.teacher
        for continuing in (True, False):
            together = [cell for cell in lacking if (self._trainer.earlier(cell) is not None) == continuing]
            failures |= self._train_together(together) if together else {}
        if any(failure.of_memory for failure in failures.values()):  # to which fewer examples were no help
            self._sizes.training, self._sizes.teacher = before
        return failures

    def _train_together(self, cells: Sequence[Cell], whole: str = "") -> dict[str, Failure]:
        """Train together or, where that fails, each half for itself, down to single cells; failures by key.

        Args:
            cells: at least one.
            whole: why the group that these are a part of failed; "" where they are all.
        """
        failure = self._try_to_train(cells)
        if failure is None:
            return {}
        if len(cells) == 1:
            error = f"{whole}\nThis one alone failed too:\n{failure.error}" if whole else failure.error
            return {cells[0].key: failure._replace(error=error)}
        whole = whole or f"{len(cells)} adapters were trained together, which failed:\n{failure.error}"
        half = (len(cells) + 1) // 2
        return self._train_together(cells[:half], whole) | self._train_together(cells[half:], whole)

    def _try_to_train(self, cells: Sequence[Cell]) -> Failure | None:
        started = time.monotonic()
        failure = None
        self._progress.training_started(cells)
        try:
            self._sizes.fit("training", lambda: self._trainer.train(cells, self._progress.training))
        except Exception as error:
            failure = self._failure(error, started)
            if len(cells) > 1:
                self._progress.together_failed(cells, error)
        if failure:
            free_memory()  # the exception, whose frames held tensors, is gone by now
        self._interruption.check()
        return failure

    def _evaluate(self, cell: Cell) -> Record:
        started = time.monotonic()
        reset_peak_memory()
        stored = self._store.training(cell.key)
        before = self._sizes.evaluation
        failure = None
        try:
            with self._model(cell) as model:
                evaluations = self._sizes.fit("evaluation", lambda: self._evaluator.evaluate(cell, model))
        except Exception as error:
            failure = self._failure(error, started)
        if failure:
            free_memory()
            if failure.of_memory:
                self._sizes.evaluation = before
            return self._failed(cell, failure)
        seconds = time.monotonic() - started + (stored.seconds if stored else 0)
        peak = stored.peak_memory_bytes if stored else None
        return Record(
            key=cell.key,
            cell=cell,
            status="ok",
            provenance=provenance(str(self._base.model.device), seconds, peak),
            training=stored.training if stored else None,
            evaluations=evaluations,
        )

    def _failure(self, error: Exception, started: float) -> Failure:
        """What is to be recorded of an exception, at work that was begun at that time; one that no cell caused goes on.

        Raises:
            KeyboardInterrupt: it comes from Ctrl-C.
        """
        self._interruption.check()
        kind = kind_of(error)
        if kind in NO_CELLS or joined():  # the other processes wait for this one
            raise error
        why = cause(error)
        if kind == "memory" and self._sizes.rows == 1:
            why = f"out of memory with 1 example at a time ({why})"
        return Failure(
            storable(traceback.format_exc()),
            why,
            kind == "network",
            kind == "memory",
            seconds=time.monotonic() - started,
        )

    def _halved(self, work: Work, most: int) -> None:
        self._interruption.check()
        self._progress.halved("the teacher's targets" if work == "teacher" else work, most)

    def _failed(self, cell: Cell, failure: Failure) -> Record:
        return Record(
            key=cell.key,
            cell=cell,
            status="failed",
            error=failure.error,
            cause=failure.cause,
            transient=failure.transient,
            provenance=provenance(str(self._base.model.device), failure.seconds),
        )

    @contextmanager
    def _model(self, cell: Cell) -> Iterator[PreTrainedModel]:
        """The base, with the stored adapter of the cell if it has one; under `paper` merged, where that is possible."""
        if not cell.trained:
            yield self._base.model
            return
        from ia2_training import attach, detach

        assert cell.seed is not None
        path = self._store.adapter_path(cell.key)
        model = attach(self._base.model, adapter_of(cell), seed=cell.seed, initial_adapter=path)
        try:
            with merged_adapter(model) if cell.protocol == "paper" else nullcontext():
                yield model
        finally:
            detach(model)
