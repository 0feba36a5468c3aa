"""LoRA adapters of one base in one forward pass: every row of a batch goes through an adapter of its own.

Shapes: K adapters, P numbers in each, B rows, T positions, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""Of the names that PEFT gives to the weights of a LoRA adapter: PREFIX, the name of the linear module, A or B."""


class GroupedLora:
    """The weights of K LoRA adapters of the same modules and rank: W x + scaling B_k A_k x, for row b with k = k(b).

    Precision as in PEFT: x is cast to the dtype of the adapter, the sum is cast back to that of the base.
    """

    def __init__(self, adapters: Sequence[Mapping[str, Tensor]], scaling: float, device: torch.device) -> None:
        """Adapters to start from.

        Args:
            adapters: K adapters, weights by PEFT's names: A [r, in] and B [out, r] of every linear module.
            scaling: alpha / r.
            device: where to keep the weights.
        """
        self.scaling = scaling
        self.shapes = {name: _turned(name, weight).shape for name, weight in adapters[0].items()}
        stacked = [torch.cat([_turned(name, adapter[name]).flatten() for name in self.shapes]) for adapter in adapters]
        self.weights = torch.stack(stacked).to(device).requires_grad_()
        """[K, P], a leaf: what an optimiser changes."""
        self._rows: dict[str, Tensor] = {}  # by name: the weights that each row of the batch goes through, [B, r, .]

    def weights_of(self, numbers: Tensor) -> dict[str, Tensor]:
        """An adapter's weights, as they were given, from its numbers [P]; views."""
        return {name: _turned(name, weight) for name, weight in self._split(numbers).items()}

    def _split(self, numbers: Tensor) -> dict[str, Tensor]:
        """Numbers [..., P] as weights [..., r, in or out] by name; views."""
        parts = torch.split(numbers, [math.prod(shape) for shape in self.shapes.values()], dim=-1)
        return {
            name: part.view(*numbers.shape[:-1], *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def keep(self, adapters: Sequence[int]) -> None:
        """Forget all adapters but these."""
        self.weights = self.weights.detach()[list(adapters)].requires_grad_()

    @contextmanager
    def on(self, model: PreTrainedModel) -> Iterator[None]:
        """Within the context the linear modules of the model go through the adapters that `rows` names."""
        names = [name.removeprefix(PREFIX).removesuffix(A) for name in self.shapes if name.endswith(A)]
        hooks = [model.get_submodule(name).register_forward_hook(self._hook(name)) for name in names]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._rows = {}

    @contextmanager
    def rows(self, adapters: Tensor) -> Iterator[None]:
        """Within the context row b of a forward pass goes through adapter `adapters[b]`, int64 [B].

        The backward pass belongs within the context: with gradient checkpointing modules run again in it.
        """
        # One gather and one split for all modules: their gradients too come together in one step.
        self._rows = self._split(self.weights[adapters])
        try:
            yield
        finally:
            self._rows = {}

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def add_low_rank_product(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            a = self._rows[PREFIX + name + A].to(output.device)  # [B, r, in]
            b = self._rows[PREFIX + name + B].to(output.device)  # [B, r, out]
            low = torch.bmm(inputs[0].to(a.dtype), a.mT)  # [B, T, r]
            return torch.baddbmm(output.to(a.dtype), low, b, alpha=self.scaling).to(output.dtype)

        return add_low_rank_product


def _turned(name: str, weight: Tensor) -> Tensor:
    """B is kept transposed, [r, out]: products of thin matrices are about twice as fast on a CPU that way."""
    return weight.mT if name.endswith(B) else weight
