"""Trains the adapters of cells, and stores them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_eval.atomic import write_atomically
from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.experiments.adapt_cell import adapter_of, training_config, training_examples, unlabelled_examples
from ia2_eval.experiments.batch_sizes import BatchSizes
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.provenance import peak_memory, reset_peak_memory
from ia2_eval.experiments.record import StoredTraining, Training, TrainingPhase
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import TRAINING, Store
from ia2_eval.lm.base_model import BaseModel

if TYPE_CHECKING:
    from ia2_training import Check, Job, PhaseHistory, TrainingConfig

Progress = Callable[["Check"], None]
Save = Callable[[Path], None]


class CellTrainer:
    """Trains adapters on one base; what the teacher gave is collected once for all cells that learn from it."""

    def __init__(
        self, store: Store, base: BaseModel, fingerprint: str, settings: Settings, batch_sizes: BatchSizes
    ) -> None:
        from ia2_training import TargetCache

        self.store, self.base, self.settings, self.batch_sizes = store, base, settings, batch_sizes
        directory = settings.targets_dir or store.targets_path
        self.targets = TargetCache(directory, fingerprint, in_memory=not settings.activations_on_disk)

    def train(self, cells: Sequence[Cell], progress: Progress) -> None:
        """Train the adapters of cells that differ in seed and learning rate only, several in one pass, and store them.

        A method that continues another one, as `ia2_sft` continues `ia2`, starts from the adapter of the cell that
        differs in nothing else, if that is in the store: the result is the same as training all phases. All of the
        cells must have it there, or none.
        """
        started = time.monotonic()
        reset_peak_memory()
        jobs = self._jobs(cells)
        with self._trained(cells, jobs, progress) as trained:
            seconds = time.monotonic() - started
            memory = peak_memory(str(self.base.model.device))

            def write(cell: Cell, job: Job, history: Sequence[PhaseHistory], save: Save, directory: Path) -> None:
                save(directory)
                stored = StoredTraining(
                    training=self._training(cell, job, history, directory),
                    together=len(cells),
                    seconds=round(seconds / len(cells), 3),
                    peak_memory_bytes=memory,
                )
                write_atomically(directory / TRAINING, (stored.model_dump_json(indent=1) + "\n").encode())

            self.store.write_adapters(
                {
                    cell.key: partial(write, cell, job, history, save)
                    for cell, job, (history, save) in zip(cells, jobs, trained, strict=True)
                }
            )

    @contextmanager
    def _trained(
        self, cells: Sequence[Cell], jobs: Sequence[Job], progress: Progress
    ) -> Iterator[list[tuple[Sequence[PhaseHistory], Save]]]:
        """History and `save` of each adapter; after the context the base is as it was."""
        from ia2_training import LoraAdapter, adapt, adapt_together

        model, tokenizer, method = self.base.model, self.base.tokenizer, cells[0].training_method
        adapter = adapter_of(cells[0])
        if len(cells) > 1:
            assert isinstance(adapter, LoraAdapter)
            together = adapt_together(model, tokenizer, jobs, method=method, adapter=adapter, progress=progress)
            yield [(trained.history, trained.save) for trained in together]
            return
        (job,) = jobs
        adapted = adapt(
            model,
            tokenizer,
            job.train,
            job.dev,
            method=method,
            adapter=adapter,
            config=job.config,
            targets=job.targets,
            unlabelled=job.unlabelled,
            initial_adapter=job.initial_adapter,
            progress=progress,
        )
        try:
            yield [(adapted.history, adapted.save)]
        finally:
            adapted.detach()

    def earlier(self, cell: Cell) -> Cell | None:
        """The cell that has all phases of `cell` but the last, if its adapter is there to start from."""
        variant = cell.before_last_phase
        if variant is None:
            return None
        earlier = cell.model_copy(update=dict(variant))
        return earlier if self.store.training(earlier.key) else None

    def _jobs(self, cells: Sequence[Cell]) -> list[Job]:
        """What to train; cells of one seed share their data, which are in memory once."""
        data: dict[int | None, Job] = {}
        jobs = []
        for cell in cells:
            earlier = self.earlier(cell)
            if cell.seed not in data:
                data[cell.seed] = self._data(cell, phases=1 if earlier else len(cell.training_method.phases))
            initial = self.store.adapter_path(earlier.key) if earlier else None
            jobs.append(replace(data[cell.seed], config=self._config(cell), initial_adapter=initial))
        return jobs

    def _config(self, cell: Cell) -> TrainingConfig:
        sizes = self.batch_sizes
        config = training_config(cell, self.settings)
        return replace(config, micro_batch_size=sizes.training, target_batch_size=sizes.teacher)

    def _data(self, cell: Cell, phases: int) -> Job:
        """What the last phases of a cell are trained on."""
        from ia2_training import Job

        assert cell.n and cell.seed is not None
        rows = load_benchmark(cell.source, self.settings.data_dir)
        training_set = draw_training_set(rows, cell.n, cell.seed)
        train, dev = training_examples(training_set, cell.protocol)
        unlabelled = unlabelled_examples(cell, rows, training_set)
        method = cell.training_method
        targets = None
        if any(loss.response == "teacher" for loss in method.phases[-phases:]):
            model, tokenizer, taught = self.base.model, self.base.tokenizer, unlabelled or train
            targets = self.batch_sizes.fit(
                "teacher",
                lambda: self.targets.get_or_collect(model, tokenizer, taught, dev, self._config(cell), method),
            )
        return Job(train, dev, targets=targets, unlabelled=unlabelled)

    def _training(self, cell: Cell, job: Job, history: Sequence[PhaseHistory], directory: Path) -> Training:
        earlier = self.earlier(cell)
        before = self.store.training(earlier.key) if earlier else None
        losses = cell.training_method.phases
        phases = [
            _phase(phase, len((job.unlabelled or job.train) if loss.response == "teacher" else job.train), cell)
            for phase, loss in zip(history, losses[-len(history) :], strict=True)
        ]
        return Training(
            phases=(*(before.training.phases if before else ()), *phases),
            extra_labels=len(job.dev) if any(loss.response == "ground_truth" for loss in losses) else 0,
            trainable_parameters=_stored_parameters(directory),
            adapter=self.store.relative(self.store.adapter_path(cell.key)),
        )


def _phase(history: PhaseHistory, examples: int, cell: Cell) -> TrainingPhase:
    assert cell.batch_size
    steps_per_epoch = -(-examples // min(cell.batch_size, examples))
    last_epoch = history.train_losses[-steps_per_epoch:]
    return TrainingPhase(
        loss=history.loss,
        steps=history.steps,
        kept_step=history.kept_step,
        dev_loss=history.dev_loss,
        train_loss=sum(last_epoch) / len(last_epoch),
        stopped=history.stop_reason,
    )


def _stored_parameters(directory: Path) -> int:
    """Numbers in the safetensors files of an adapter or a checkpoint."""
    from safetensors import safe_open

    count = 0
    for path in directory.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            count += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping
    return count
