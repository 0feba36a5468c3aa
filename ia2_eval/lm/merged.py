"""Adapters merged into the base weights, as the `paper` protocol evaluates them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@contextmanager
def merged_adapter(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Within the context the adapter is merged into the base weights, rounded to their dtype; afterwards they are as
    before.

    Virtual tokens are no change of any weight, and under full fine-tuning the weights are the model's own: such models
    stay as they are.

    PEFT's own unmerging subtracts LoRA's update from the rounded weights and divides by the vectors of (IA)^3 (plus
    1e-8), which does not give them back.

    Raises:
        UserError: the weights are sharded over processes.
    """
    import torch
    from ia2_training.sharding import is_sharded
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    if not layers:
        yield
        return
    if is_sharded(model):
        raise UserError(
            "the `paper` protocol evaluates adapters merged into whole weights, and the model is sharded over "
            "processes: use --device auto in one process, or the `strict` protocol"
        )
    merged = [parameter for layer in layers for parameter in layer.get_base_layer().parameters()]  # weights and biases
    originals = [parameter.detach().clone() for parameter in merged]
    try:
        model.merge_adapter()
        yield
    finally:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that it may be inexact, or that a merge which failed has left layers out
            model.unmerge_adapter()
            for parameter, original in zip(merged, originals, strict=True):
                parameter.copy_(original)
