"""What a command runs, in a form that can be handed to workers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.settings import Settings
from ia2_eval.frozen import Frozen
from ia2_eval.lm.base_model import Base


class Sweep(Frozen):
    """The cells of one command, all of one base, and how they are run."""

    cells: tuple[Cell, ...]
    base: Base
    """The cells' own, at a place where a worker finds it."""
    out: Path
    settings: Settings
    workers: int = 1
    """That share the cells."""

    def from_anywhere(self) -> Sweep:
        """The same for processes with another working directory and another environment."""
        data_dir = self.settings.data_dir or os.environ.get("IA2_DATA_DIR")
        targets_dir = self.settings.targets_dir
        settings = replace(
            self.settings,
            data_dir=None if not data_dir else Path(data_dir).absolute(),
            targets_dir=targets_dir and targets_dir.absolute(),
        )
        model = Path(self.base.model).expanduser()
        local = self.base.model != "embedded" and model.is_dir()
        base = self.base.model_copy(update={"model": str(model.absolute())}) if local else self.base
        return self.model_copy(update={"base": base, "out": self.out.absolute(), "settings": settings})
