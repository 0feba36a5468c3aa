"""How one adapter goes through a phase: the examples of every step, what the dev checks say, and when it is over."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .config import TrainingConfig
from .losses import Loss
from .phases import Phase, PhaseData


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


class Course:
    """One adapter's way through a phase. Whoever trains it reports every step and every dev loss.

    The random numbers depend on the seed and the loss only, not on what was trained before. An empty dev set gives no
    dev losses, hence the full budget and the last weights. A dev loss that is not a number is no improvement.
    """

    def __init__(self, phase: Phase, config: TrainingConfig) -> None:
        self.phase, self.config = phase, config
        self.examples = len(phase.train[0].sequences)
        self.batch_size = min(config.batch_size, self.examples)
        self.steps_per_epoch = math.ceil(self.examples / self.batch_size)
        self.budget = config.epochs * self.steps_per_epoch
        self.train_losses: list[Tensor] = []  # scalars, read at the end: reading one waits for the device
        self.dev_losses: dict[int, float] = {}
        self.best_step: int | None = None
        self.checks_since_best = 0
        self._batches = self._all_batches()

    def next_batch(self) -> tuple[PhaseData, list[int]] | None:
        """The data and the rows of the next step; None when the phase is over."""
        return None if self.exhausted else next(self._batches, None)

    def _all_batches(self) -> Iterator[tuple[PhaseData, list[int]]]:
        """Each epoch is a new permutation, cut up."""
        order = torch.Generator().manual_seed(_phase_seed(self.config.seed, self.phase.loss))
        for epoch in range(self.config.epochs):
            data = self.phase.train[epoch % len(self.phase.train)]
            permutation: list[int] = torch.randperm(self.examples, generator=order).tolist()
            for rows in chunks(permutation, self.batch_size):
                yield data, rows

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.train_losses)

    @property
    def check_is_due(self) -> bool:
        """Whether the dev set is to be looked at after the step that was taken last."""
        return self.steps % self.config.eval_every == 0 or self.steps % self.steps_per_epoch == 0

    def see(self, dev_loss: float) -> bool:
        """Take note of the dev loss of this moment; whether its weights are the ones to end with, so far."""
        best = math.inf if self.best_step is None else self.dev_losses[self.best_step]
        self.dev_losses[self.steps] = dev_loss
        if dev_loss < best:
            self.best_step, self.checks_since_best = self.steps, 0
        else:
            self.checks_since_best += 1
        return self.checks_since_best == 0 and self.config.keep == "best"

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.steps > 0 and self.checks_since_best >= self.config.patience

    @property
    def ends_with_best(self) -> bool:
        """Whether the phase is to end with the weights of the best check, not with the last ones."""
        return self.config.keep == "best" and self.best_step is not None

    def history(self) -> PhaseHistory:
        """The record of the phase."""
        return PhaseHistory(
            loss=self.phase.loss.name,
            steps=self.steps,
            best_step=self.best_step,
            kept_step=self.best_step if self.ends_with_best and self.best_step is not None else self.steps,
            dev_losses=self.dev_losses,
            train_losses=tuple(torch.stack(self.train_losses).tolist()),
            stop_reason="patience" if self.exhausted else "budget",
        )


def chunks(rows: Sequence[int], size: int) -> list[list[int]]:
    """The rows, in lists of at most `size`."""
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


def _phase_seed(seed: int, loss: Loss) -> int:
    return int.from_bytes(hashlib.sha256(f"{loss.name} {seed}".encode()).digest()[:7], "big")
