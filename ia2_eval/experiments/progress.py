"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_eval.experiments.cell import Cell
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
