"""Cosine similarity of what the layers of two runs of a model give.

Shapes: L layers, G response positions of one example, d width, n examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def cosine_grid(student: Tensor, teacher: Tensor) -> Tensor:
    """Cosine over the width, in float32: [L, G, d] and [L, G, d] -> [L, G]."""
    return torch.nn.functional.cosine_similarity(student.float(), teacher.float(), dim=-1)


@dataclass(frozen=True)
class Averages:
    """Means over the examples of one evaluation."""

    overall: float
    """Of each example's mean over layers and positions."""
    by_layer: tuple[float, ...]
    """[L], of each example's mean over positions."""
    by_layer_and_token: tuple[tuple[float, ...], ...]
    """[L, longest G], over the examples whose response reaches the position."""
    examples_at: tuple[int, ...]
    """[longest G], how many do."""


def average(grids: Sequence[Tensor]) -> Averages:
    """Averages of the grids [L, G_i] of n examples, whose G differ; an example counts once, however long it is.

    What is not a number stays so.
    """
    by_layer = torch.stack([grid.mean(1) for grid in grids]).mean(0)  # [n, L] -> [L]
    longest = max(grid.shape[1] for grid in grids)
    total = torch.stack([torch.nn.functional.pad(grid, (0, longest - grid.shape[1])) for grid in grids]).sum(0)
    lengths = torch.tensor([grid.shape[1] for grid in grids])
    reached = (lengths[:, None] > torch.arange(longest)).sum(0)  # [longest G]
    return Averages(
        overall=float(by_layer.mean()),  # every example has the same layers: the order of the means is free
        by_layer=tuple(by_layer.tolist()),
        by_layer_and_token=tuple(map(tuple, (total / reached).tolist())),
        examples_at=tuple(reached.tolist()),
    )
