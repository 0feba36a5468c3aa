"""One training phase: minimise one loss over the adapter, watched on a dev set."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from .batches import Batch, TokenSequence, make_batch
from .config import TrainingConfig
from .losses import Loss
from .progress import Check
from .targets import Targets

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class PhaseData:
    """The sequences of a set, and the targets that go with them (empty when the loss needs none)."""

    sequences: tuple[TokenSequence, ...]
    targets: tuple[Targets, ...] = ()

    def batch(self, rows: Sequence[int], device: torch.device) -> tuple[Batch, list[Targets]]:
        """The batch of some rows, and their targets."""
        batch = make_batch([self.sequences[row] for row in rows], device=device)
        return batch, [self.targets[row] for row in rows] if self.targets else []


@dataclass(frozen=True)
class PhaseHistory:
    """What happened in a phase. Steps are optimiser steps; step 0 is the state before the first."""

    loss: str
    """Name of the loss."""
    steps: int
    """Optimiser steps taken."""
    best_step: int | None
    """Step with the lowest dev loss, the first of equals; None without a dev set."""
    kept_step: int
    """Step whose weights the phase ended with."""
    dev_losses: dict[int, float]
    """Dev loss by step, for the steps that were checked."""
    train_losses: tuple[float, ...]
    """Loss of the batch of every step, before the step was taken."""
    stop_reason: Literal["patience", "budget"]

    @property
    def dev_loss(self) -> float | None:
        """Dev loss of the weights that were kept; None without a dev set."""
        return self.dev_losses.get(self.kept_step)


def train_phase(
    model: PeftModel,
    loss: Loss,
    train: PhaseData,
    dev: PhaseData,
    config: TrainingConfig,
    report: Callable[[Check], None],
) -> PhaseHistory:
    """Train the adapter on one loss with a fresh optimiser, and leave the weights that `config.keep` asks for.

    The random numbers of a phase depend on the seed and the loss only, not on what was trained before. The model is in
    eval mode: the adapter has no dropout, and the frozen base must not have any. An empty dev set gives no checks,
    hence the full budget and the last weights. A dev loss that is not a number is no improvement.
    """
    model.eval()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, fused=model.device.type in ("cpu", "cuda"))
    order = torch.Generator().manual_seed(_phase_seed(config.seed, loss))
    batch_size = min(config.batch_size, len(train.sequences))
    steps_per_epoch = math.ceil(len(train.sequences) / batch_size)
    budget = config.epochs * steps_per_epoch
    dev_rows = _chunks(range(len(dev.sequences)), config.micro_batch_size or config.batch_size)
    dev_batches = [dev.batch(rows, model.device) for rows in dev_rows]
    watch = _DevWatch(parameters, config)
    train_losses: list[Tensor] = []  # read at the end: reading one waits for the device

    def check(step: int) -> None:
        dev_loss = None
        if dev_batches:
            dev_loss = _dev_loss(model, loss, dev_batches, config)
            watch.see(step, dev_loss)
        report(Check(loss.name, step, budget, train_losses[-1].item() if train_losses else None, dev_loss))

    if config.step_zero:
        check(0)
    for step, rows in enumerate(_steps(len(train.sequences), batch_size, config.epochs, order), 1):
        train_losses.append(_optimiser_step(model, loss, train, rows, optimiser, config))
        if step % config.eval_every == 0 or step % steps_per_epoch == 0:
            check(step)
            if watch.exhausted:
                break
    return PhaseHistory(
        loss=loss.name,
        steps=len(train_losses),
        best_step=watch.best_step,
        kept_step=watch.keep(len(train_losses)),
        dev_losses=watch.dev_losses,
        train_losses=tuple(torch.stack(train_losses).tolist()),
        stop_reason="patience" if watch.exhausted else "budget",
    )


@dataclass
class _DevWatch:
    """Dev losses so far, how long ago they last improved, and the weights of the best."""

    parameters: list[Tensor]
    config: TrainingConfig
    dev_losses: dict[int, float] = field(default_factory=dict)
    best_step: int | None = None
    checks_since_best: int = 0
    best_weights: list[Tensor] = field(default_factory=list)

    def see(self, step: int, dev_loss: float) -> None:
        best = math.inf if self.best_step is None else self.dev_losses[self.best_step]
        self.dev_losses[step] = dev_loss
        if dev_loss < best:
            self.best_step, self.checks_since_best = step, 0
            if self.config.keep == "best":
                self.best_weights = [parameter.detach().clone() for parameter in self.parameters]
        else:
            self.checks_since_best += 1

    @property
    def exhausted(self) -> bool:
        return self.checks_since_best >= self.config.patience

    @torch.no_grad()
    def keep(self, last_step: int) -> int:
        """Leave the weights that the configuration asks for; their step."""
        if self.best_step is None or self.config.keep == "last":
            return last_step
        for parameter, best in zip(self.parameters, self.best_weights, strict=True):
            parameter.copy_(best)
        return self.best_step


def _steps(examples: int, batch_size: int, epochs: int, order: torch.Generator) -> Iterator[list[int]]:
    """The rows of every optimiser step: each epoch is a new permutation, cut into batches."""
    for _ in range(epochs):
        epoch: list[int] = torch.randperm(examples, generator=order).tolist()
        yield from _chunks(epoch, batch_size)


def _optimiser_step(
    model: PeftModel,
    loss: Loss,
    train: PhaseData,
    rows: list[int],
    optimiser: torch.optim.Optimizer,
    config: TrainingConfig,
) -> Tensor:
    """One step on the mean of the losses of the rows; that mean, a scalar, before the step."""
    optimiser.zero_grad()
    total = torch.zeros((), device=model.device)
    for micro_rows in _chunks(rows, config.micro_batch_size or len(rows)):
        batch, targets = train.batch(micro_rows, model.device)
        part = loss(model, batch, targets, float32=config.float32_losses).sum() / len(rows)
        part.backward()  # type: ignore[no-untyped-call]
        total += part.detach()
    optimiser.step()
    return total


@torch.no_grad()
def _dev_loss(
    model: PeftModel, loss: Loss, batches: list[tuple[Batch, list[Targets]]], config: TrainingConfig
) -> float:
    losses = [loss(model, batch, targets, float32=config.float32_losses) for batch, targets in batches]
    return torch.cat(losses).float().mean().item()


def _chunks(rows: Sequence[int], size: int) -> list[list[int]]:
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


def _phase_seed(seed: int, loss: Loss) -> int:
    return int.from_bytes(hashlib.sha256(f"{loss.name} {seed}".encode()).digest()[:7], "big")
