"""Trains the adapter of a cell: from the benchmark's training set to `ia2_training`'s examples and back to a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ia2_eval.benchmarks import TrainingSet, draw_training_set, get_benchmark, load_benchmark
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Record, Training, TrainingPhase
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import BaseModel
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import ANSWER_FORMATS

if TYPE_CHECKING:
    from ia2_training import Check, TeacherTargets, TrainingConfig, TrainingExample
    from ia2_training.train import PhaseHistory
    from peft import PeftModel


def training_examples(
    training_set: TrainingSet, protocol: Protocol
) -> tuple[list[TrainingExample], list[TrainingExample]]:
    """D_T and its dev set, each example with the demonstrations that the teacher is shown for it."""
    from ia2_training import TrainingExample

    train = [
        TrainingExample(e.prompt, e.answer, tuple(d.text for d in training_set.train_demonstrations(i)))
        for i, e in enumerate(training_set.train)
    ]
    dev = [
        TrainingExample(e.prompt, e.answer, tuple(d.text for d in training_set.dev_demonstrations(j, protocol)))
        for j, e in enumerate(training_set.dev)
    ]
    return train, dev


def training_config(cell: Cell, micro_batch_size: int | None = None) -> TrainingConfig:
    """How `ia2_training` trains the adapter of a cell."""
    from ia2_training import TrainingConfig

    assert cell.learning_rate and cell.epochs and cell.batch_size and cell.target_tokens and cell.seed is not None
    answer_format = get_benchmark(cell.source).answer_format
    cut = cell.protocol == "strict" and answer_format is not None
    preset = TrainingConfig.paper if cell.protocol == "paper" else TrainingConfig.strict
    return preset(
        cell.learning_rate,
        cell.target_tokens,
        epochs=cell.epochs,
        batch_size=cell.batch_size,
        micro_batch_size=micro_batch_size,
        seed=cell.seed,
        answer_end=ANSWER_FORMATS[answer_format].end if cut and answer_format else None,
    )


@dataclass
class CellTrainer:
    """Trains the cells of a run one after the other; the teacher's targets are collected once per training set."""

    store: Store
    base: BaseModel
    settings: Settings
    _targets: dict[tuple[object, ...], TeacherTargets] = field(default_factory=dict)

    @contextmanager
    def trained(self, cell: Cell, progress: Callable[[Check], None]) -> Iterator[tuple[PeftModel, Training]]:
        """Train the cell's adapter on the base and store it; within the context the base carries it.

        A method that continues another one, as `ia2_sft` continues `ia2`, starts from the adapter of the cell that
        differs in nothing else, if that is in the store: the result is the same as training all phases.
        """
        from ia2_training import METHODS, LoraAdapter, adapt

        assert cell.adapter and cell.n and cell.seed is not None
        training_set = draw_training_set(load_benchmark(cell.source, self.settings.data_dir), cell.n, cell.seed)
        train, dev = training_examples(training_set, cell.protocol)
        earlier = self._earlier(cell)
        phases = METHODS[cell.method][-1:] if earlier else METHODS[cell.method]
        needs_targets = any(loss.response == "teacher" for loss in phases)
        adapted = adapt(
            self.base.model,
            self.base.tokenizer,
            train,
            dev,
            method=cell.method,
            adapter=LoraAdapter(r=cell.adapter.r, alpha=cell.adapter.alpha, modules=cell.adapter.modules),
            config=training_config(cell, self.settings.micro_batch_size),
            targets=self._collect(cell, train, dev) if needs_targets else None,
            initial_adapter=self.store.adapter_path(earlier.key) if earlier else None,
            progress=progress,
        )
        try:
            done = earlier.training.phases if earlier and earlier.training else ()
            yield (
                adapted.model,
                Training(
                    phases=(*done, *(_phase(history, cell) for history in adapted.history)),
                    extra_labels=len(dev),
                    trainable_parameters=sum(p.numel() for p in adapted.model.parameters() if p.requires_grad),
                    adapter=self.store.write_adapter(cell.key, adapted.save),
                ),
            )
        finally:
            adapted.detach()

    def _earlier(self, cell: Cell) -> Record | None:
        """The record of the cell that has all phases of `cell` but the last, if its adapter is there to start from."""
        from ia2_training import METHODS

        for method, phases in METHODS.items():
            if phases == METHODS[cell.method][:-1]:
                record = self.store.done(cell.model_copy(update={"method": method}))
                if record and self.store.has_adapter(record.key):
                    return record
        return None

    def _collect(self, cell: Cell, train: list[TrainingExample], dev: list[TrainingExample]) -> TeacherTargets:
        from ia2_training import TeacherTargets

        key = (cell.source, cell.n, cell.seed, cell.protocol, cell.target_tokens)
        if key not in self._targets:
            config = training_config(cell)
            self._targets.clear()  # cells of one training set stand together in a plan
            self.store.clear_targets()
            self._targets[key] = TeacherTargets.collect(
                self.base.model,
                self.base.tokenizer,
                train,
                dev,
                max_new_tokens=config.max_new_tokens,
                answer_end=config.answer_end,
                batch_size=config.target_batch_size,
                directory=self.store.targets_path if self.settings.activations_on_disk else None,
            )
        return self._targets[key]


def _phase(history: PhaseHistory, cell: Cell) -> TrainingPhase:
    assert cell.n and cell.batch_size
    steps_per_epoch = -(-cell.n // min(cell.batch_size, cell.n))
    last_epoch = history.train_losses[-steps_per_epoch:]
    return TrainingPhase(
        loss=history.loss,
        steps=history.steps,
        kept_step=history.kept_step,
        dev_loss=history.dev_loss,
        train_loss=sum(last_epoch) / len(last_epoch),
        stopped=history.stop_reason,
    )
