"""Cuts a plan into passes: cells whose adapters are trained together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.experiments.cell import Cell


def passes(cells: Sequence[Cell], size: int) -> Iterator[list[Cell]]:
    """The cells in their order, up to `size` LoRA cells that differ in seed and learning rate only together."""

    def kind(cell: Cell) -> str:
        alike = cell.model_copy(update={"seed": None, "learning_rate": None})
        return alike.key if isinstance(cell.adapter, Lora) else cell.key

    for _, group in groupby(cells, key=kind):
        members = list(group)
        for start in range(0, len(members), size):
            yield members[start : start + size]
