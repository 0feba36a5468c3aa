"""Full fine-tuning: the parameters of the model itself are trained, and given back as they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class OriginalParameters:
    """What a model was before its parameters were trained."""

    tensors: dict[str, Tensor]
    """Copies on the CPU by name; parameters that are tied appear once."""
    config_dtype: torch.dtype | str | None
    """The dtype that the model's configuration names; saving the trained model changes it."""


def train_all_parameters(model: PreTrainedModel) -> PreTrainedModel:
    """Make all parameters of a model trainable, in place, until `restore_parameters`.

    Parameters in half precision become float32, and the whole model computes in it: in bfloat16 an update of less than
    half an ulp, about 0.4 % of a weight, would vanish, and at usual learning rates nearly all are. With Adam this takes
    20 bytes for each parameter, and a copy of the original ones on the CPU.
    """
    originals = {name: parameter.detach().to("cpu", copy=True) for name, parameter in model.named_parameters()}
    model.original_parameters = OriginalParameters(originals, getattr(model.config, "dtype", None))
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
    return model.requires_grad_(True)


def is_fully_trained(model: PreTrainedModel | PeftModel) -> bool:
    """Whether the parameters of the model itself are being trained."""
    return isinstance(getattr(model, "original_parameters", None), OriginalParameters)


def restore_parameters(model: PreTrainedModel) -> PreTrainedModel:
    """Give the model its original parameters back, bit for bit and in their dtype, and freeze them."""
    original: OriginalParameters = model.original_parameters
    for name, parameter in model.named_parameters():
        parameter.grad = None
        parameter.data = original.tensors[name].to(parameter.device)
    model.config.dtype = original.config_dtype
    del model.original_parameters
    return model.requires_grad_(False)


@torch.no_grad()
def load_parameters(model: PreTrainedModel, directory: Path) -> None:
    """Take over the parameters of a checkpoint of the same architecture.

    Raises:
        ValueError: it is of another class of models, or its parameters have other names or shapes.
    """
    from transformers import AutoModelForCausalLM

    saved = AutoModelForCausalLM.from_pretrained(directory, dtype="auto")
    weights = dict(saved.named_parameters())
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    if type(saved) is not type(model) or {name: value.shape for name, value in weights.items()} != shapes:
        raise ValueError(
            f"{directory} does not fit this model: it holds a {type(saved).__name__}, and the model is a "
            f"{type(model).__name__}, or its parameters have other names or shapes."
        )
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
