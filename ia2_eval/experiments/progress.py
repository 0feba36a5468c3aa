"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.ownership.processes import Process
from ia2_eval.experiments.record import Record

if TYPE_CHECKING:
    from ia2_training import Check


@dataclass(frozen=True)
class Progress:
    """Callbacks."""

    training_started: Callable[[Sequence[Cell]], None]
    """Of the cells whose adapters are trained together; of a single one where it is trained alone."""
    training: Callable[[Check], None]
    together_failed: Callable[[Sequence[Cell], Exception], None]
    """Cells could not be trained together, and are now tried in two halves, down to single ones."""
    cell_started: Callable[[Cell], None]
    """Its adapter, if it needs one, has been trained."""
    cell_finished: Callable[[Record], None]
    damaged: Callable[[Path, str], None]
    """A file or folder was set aside under this name, for this reason."""
    working: Callable[[Sequence[Process]], None] = field(default=lambda workers: None)
    """What the workers of a driver do now."""
    said: Callable[[str], None] = field(default=lambda line: None)
    """A line that a worker wrote, or that is about it."""
    halved: Callable[[str, int], None] = lambda what, most: None
    """Memory did not suffice for what is named; it is done with so many examples at once from now on."""


def pass_label(cells: Sequence[Cell]) -> str:
    """Such as `sst2 N=4 seed 0 sft lr 0.001`, or `sst2 sft N=4: 15 adapters together`."""
    if len(cells) == 1:
        return cells[0].label
    alike = cells[0].model_copy(update={"n": None, "seed": None, "learning_rate": None})
    return f"{alike.label} N={cells[0].n}: {len(cells)} adapters together"
