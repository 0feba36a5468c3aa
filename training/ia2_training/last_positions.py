"""Leaving out what nothing depends on: most of the last decoder layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor, nn

from .activations import recorded_modules

if TYPE_CHECKING:
    from transformers import PreTrainedModel

POSITIONWISE = ("self_attn.q_proj", "self_attn.o_proj", "mlp")
"""Modules of a layer that treat every position for itself. Keys and values of all positions are looked at."""


@contextmanager
def last_positions_only(model: PreTrainedModel, last: int) -> Iterator[None]:
    """Within the context the last layer computes queries, attention outputs and its MLP at the last positions only.

    What the model gives at these positions is the same, and so are all gradients of it; before them the last layer
    gives something else. Backward passes belong within the context too.
    """
    layer = dict(recorded_modules(model, "residual")[-1].named_modules())
    hooks = []
    for module in (layer[name] for name in POSITIONWISE if name in layer):
        positions = _Positions(last)
        hooks += [module.register_forward_pre_hook(positions.cut), module.register_forward_hook(positions.pad)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Positions:
    """Cuts the input of a module, and pads its output."""

    def __init__(self, last: int) -> None:
        self.last, self.missing = last, 0

    def cut(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.missing = inputs[0].shape[1] - self.last
        return (inputs[0][:, -self.last :], *inputs[1:])

    def pad(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return nn.functional.pad(output, (0, 0, self.missing, 0))
