"""Recording activations of a decoder's layers while it runs.

Shapes: B batch, L layers, k recorded positions, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

Output = Literal["attention", "residual", "mlp"]
"""`attention`: what the self-attention block adds to the residual stream, after its output projection. `mlp`: the
output of the feed-forward module. `residual`: the residual stream after the layer."""

MODULE_NAMES: dict[Output, str] = {"attention": "self_attn", "mlp": "mlp", "residual": ""}


def layer_count(model: PreTrainedModel | PeftModel) -> int:
    """Number of decoder layers."""
    return len(recorded_modules(model, "residual"))


def recorded_modules(model: PreTrainedModel | PeftModel, output: Output = "attention") -> list[nn.Module]:
    """The module of every decoder layer whose output is meant, first layer first.

    Raises:
        ValueError: the model is not laid out as a decoder with `layers[i].self_attn` and `layers[i].mlp`.
    """
    decoder = model.get_decoder()
    layers = list(getattr(decoder, "layers", ()))
    name = MODULE_NAMES[output]
    modules = [layer if not name else getattr(layer, name) for layer in layers if not name or hasattr(layer, name)]
    if not modules or len(modules) < len(layers):
        found = sorted({type(module).__name__ for module in decoder.modules()})
        raise ValueError(
            f"{type(decoder).__name__} has no modules at `layers[i]{name and '.' + name}`, as Llama, Qwen3, Mistral "
            f"and Gemma have. Module classes found: {', '.join(found)}."
        )
    return modules


@contextmanager
def record_activations(
    model: PreTrainedModel | PeftModel,
    last: int,
    output: Output = "attention",
    layers: Sequence[int] | None = None,
) -> Iterator[list[Tensor]]:
    """Record what the layers of a decoder give at the last positions.

    Each forward pass replaces the recording of the pass before. Gradients flow through what is recorded.

    Args:
        model: a decoder model, with or without an adapter.
        last: number of positions k to keep, from the end.
        output: what to record of a layer.
        layers: indices of the layers; None: all.

    Yields:
        A list that holds, after a forward pass, L tensors [B, k, d] on the device that the model takes its inputs on.
    """
    modules = recorded_modules(model, output)
    modules = modules if layers is None else [modules[layer] for layer in layers]
    outputs: list[Tensor] = [Tensor()] * len(modules)

    def recorder(place: int) -> Any:
        def record(module: nn.Module, args: Any, output: Tensor | tuple[Tensor, ...]) -> None:
            hidden = output if isinstance(output, Tensor) else output[0]  # [B, T, d]
            kept = hidden[:, -last:]
            # A slice keeps the whole [B, T, d] alive; with gradients that is alive anyway.
            kept = kept if kept.requires_grad else kept.clone()
            outputs[place] = kept.to(model.device)  # the layers of a large model may be spread over several

        return record

    hooks = [module.register_forward_hook(recorder(place)) for place, module in enumerate(modules)]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
