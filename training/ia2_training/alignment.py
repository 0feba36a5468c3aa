"""What is aligned: which activations, of which layers, and how their distance is measured.

Shapes: B batch, L layers, G response tokens of the longest row, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from .activations import Output

Distance = Literal["mse", "normalised_mse", "cosine"]


@dataclass(frozen=True)
class Alignment:
    """What the student's activations are compared with. The defaults are those of arXiv 2509.22621, section 3."""

    output: Output = "attention"
    """The self-attention block's output (the paper's), the residual stream after the layer, or the MLP's output."""
    layers: tuple[int, ...] | None = None
    """Layers from 0, or from the end if negative; None: all."""
    distance: Distance = "mse"
    """`mse` is the paper's; see `distance_per_example`."""

    def __post_init__(self) -> None:
        faults = []
        if self.output not in get_args(Output):
            faults.append(f"output = {self.output!r}: must be one of {', '.join(map(repr, get_args(Output)))}")
        if self.distance not in DISTANCES:
            faults.append(f"distance = {self.distance!r}: must be one of {', '.join(map(repr, DISTANCES))}")
        if self.layers is not None and (not self.layers or len(set(self.layers)) < len(self.layers)):
            faults.append(f"layers = {self.layers}: name at least one layer, and none twice; None stands for all")
        if faults:
            raise ValueError("Alignment: " + "; ".join(faults))

    def layer_indices(self, count: int) -> tuple[int, ...]:
        """The aligned layers of a model with `count` layers, from 0, in their order.

        Raises:
            ValueError: a layer that the model does not have, or one that is named twice.
        """
        layers = tuple(range(count)) if self.layers is None else self.layers
        unknown = [layer for layer in layers if not -count <= layer < count]
        if unknown:
            raise ValueError(f"The model has {count} layers, 0 to {count - 1}; it has no layer {unknown[0]}.")
        indices = tuple(layer % count for layer in layers)
        if len(set(indices)) < len(indices):
            raise ValueError(f"layers = {list(layers)} name a layer of the model's {count} twice.")
        return tuple(sorted(indices))


def distance_per_example(
    student: Tensor, teacher: Tensor, response_mask: Tensor, *, distance: Distance = "mse", float32: bool = True
) -> Tensor:
    """Distance of activations, averaged over response positions, summed over layers.

    `mse` is arXiv 2509.22621, section 3, as its public code computes it: the mean over all L * G * d elements of the
    squared difference, times L, in the dtype of the model (bfloat16 there), which quantises the value that early
    stopping looks at. `normalised_mse` divides the mean square of each position's difference by that of the teacher's
    activation there, so that every layer and position counts alike; `cosine` is one minus the cosine similarity.

    Args:
        student: [B, L, G, d].
        teacher: [B, L, G, d].
        response_mask: [B, G] bool.
        distance: how two activations are compared.
        float32: compute in float32 (float64 if the student is) instead of the dtype of `student`.

    Returns:
        [B], float32 (float64 if the student is) or the dtype of `student`.
    """
    exact = torch.promote_types(student.dtype, torch.float32)
    dtype = exact if float32 else student.dtype
    per_position = DISTANCES[distance](student.to(dtype), teacher.to(dtype))  # [B, L, G]
    per_position = per_position.to(exact).masked_fill(~response_mask[:, None], 0)
    layers = student.shape[1]
    mean = per_position.sum((1, 2)) / (layers * response_mask.sum(1))  # [B]
    return mean.to(dtype) * layers


def _accumulated(values: Tensor) -> Tensor:
    """Mean over the width, accumulated in float32 at least."""
    return values.mean(-1, dtype=torch.promote_types(values.dtype, torch.float32))


def _mse(student: Tensor, teacher: Tensor) -> Tensor:
    return _accumulated((student - teacher) ** 2)


def _normalised_mse(student: Tensor, teacher: Tensor) -> Tensor:
    scale = _accumulated(teacher**2)
    return _accumulated((student - teacher) ** 2) / scale.clamp_min(torch.finfo(torch.float32).tiny)


def _cosine(student: Tensor, teacher: Tensor) -> Tensor:
    return 1 - torch.nn.functional.cosine_similarity(student, teacher, dim=-1)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": _mse,
    "normalised_mse": _normalised_mse,
    "cosine": _cosine,
}
"""Distance [...] of activations [..., d], by name."""
