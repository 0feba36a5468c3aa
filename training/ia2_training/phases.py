"""A training phase as data: one loss, and the sequences that it is trained and watched on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from .batches import Batch, TokenSequence, make_batch
from .losses import Loss
from .targets import Targets


@dataclass(frozen=True)
class PhaseData:
    """The sequences of a set, and the targets that go with them (empty when the loss needs none)."""

    sequences: tuple[TokenSequence, ...]
    targets: tuple[Targets, ...] = ()

    def batch(self, rows: Sequence[int], device: torch.device) -> tuple[Batch, list[Targets]]:
        """The batch of some rows, and their targets."""
        batch = make_batch([self.sequences[row] for row in rows], device=device)
        return batch, [self.targets[row] for row in rows] if self.targets else []


class Phase(NamedTuple):
    """What one phase minimises, and on what."""

    loss: Loss
    train: tuple[PhaseData, ...]
    """Epoch e is trained on entry e modulo their number: one, or one for each order of the demonstrations. All are of
    the same examples."""
    dev: PhaseData
    """Empty sequences where there is no dev set."""
