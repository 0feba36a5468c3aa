"""Recording what the self-attention blocks add to the residual stream.

Shapes: B batch, L layers, k recorded positions, d width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def self_attention_modules(model: PreTrainedModel | PeftModel) -> list[nn.Module]:
    """The self-attention module of every decoder layer, first layer first.

    Raises:
        ValueError: the model is not laid out as a decoder with `layers[i].self_attn`.
    """
    decoder = model.get_decoder()
    layers = getattr(decoder, "layers", ())
    modules = [layer.self_attn for layer in layers if hasattr(layer, "self_attn")]
    if not modules or len(modules) < len(layers):
        found = sorted({type(module).__name__ for module in decoder.modules()})
        raise ValueError(
            f"{type(decoder).__name__} has no self-attention modules at `layers[i].self_attn`, as Llama and Qwen have. "
            f"Module classes found: {', '.join(found)}."
        )
    return modules


@contextmanager
def record_attention_outputs(model: PreTrainedModel | PeftModel, last: int) -> Iterator[list[Tensor]]:
    """Record the output of every self-attention module, after the output projection, at the last positions.

    Each forward pass replaces the recording of the pass before. Gradients flow through what is recorded.

    Args:
        model: a decoder model, with or without an adapter.
        last: number of positions k to keep, from the end.

    Yields:
        A list that holds, after a forward pass, L tensors [B, k, d].
    """
    modules = self_attention_modules(model)
    outputs: list[Tensor] = [Tensor()] * len(modules)

    def recorder(layer: int) -> Any:
        def record(module: nn.Module, args: Any, output: Tensor | tuple[Tensor, ...]) -> None:
            hidden = output if isinstance(output, Tensor) else output[0]  # [B, T, d]
            kept = hidden[:, -last:]
            # A slice keeps the whole [B, T, d] alive; with gradients that is alive anyway.
            outputs[layer] = kept if kept.requires_grad else kept.clone()

        return record

    hooks = [module.register_forward_hook(recorder(layer)) for layer, module in enumerate(modules)]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
