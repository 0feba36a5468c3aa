"""Gradient checkpointing: a decoder layer keeps its input only and runs again in the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from .activations import recorded_modules

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import Cache, PreTrainedModel


@contextmanager
def checkpointed(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Within the context every decoder layer of the model is checkpointed.

    Losses, gradients and recorded activations are the same; the backward pass needs the memory of one layer and of the
    inputs of all, and runs every layer forward once more.

    Backward passes belong within the context too. Transformers' own checkpointing works in train mode only, which would
    turn dropout on, and leaves prefix tuning's virtual tokens out; this one works in eval mode.

    Raises:
        ValueError: an unknown model layout.
    """
    layers = recorded_modules(model, "residual")
    own = [vars(layer).get("forward") for layer in layers]  # a model spread over devices has a forward of its own
    for layer in layers:
        layer.forward = _checkpointed_forward(layer)
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def _checkpointed_forward(layer: nn.Module) -> Callable[..., Any]:
    forward = layer.forward

    def run(*args: Any, **settings: Any) -> Any:
        if settings.get("past_key_values") is not None:
            # The layer appends its keys and values; when it runs again it must find the cache as it was.
            settings["past_key_values"] = _shallow_copy(settings["past_key_values"])
        return forward(*args, **settings)

    def run_checkpointed(*args: Any, **settings: Any) -> Any:
        # Layers in eval mode draw no random numbers.
        return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False, **settings)

    return run_checkpointed


def _shallow_copy(cache: Cache) -> Cache:
    fresh = copy.copy(cache)
    fresh.layers = [copy.copy(layer) for layer in cache.layers]
    return fresh
