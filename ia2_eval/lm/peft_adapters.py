"""Any adapter of PEFT's on a base model in memory, and off it again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import PeftModel, load_peft_weights
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "default"
"""What the adapter is called within PEFT."""


@contextmanager
def attached(base: PreTrainedModel, directory: Path) -> Iterator[PeftModel]:
    """The base with a stored adapter in the precision that it was stored in; afterwards the base as it was.

    `ia2_training.attach` does this for the adapters that it made itself; here are those of others too.

    Args:
        base: without an adapter.
        directory: of an adapter in PEFT's format.

    Raises:
        UserError: the adapter is that of another model.
    """
    device = str(base.device)
    originals = _named_in(base, load_peft_weights(str(directory), device="cpu"))
    try:
        yield _load(base, directory, device)
    finally:
        # PEFT's own unloading leaves modules that were trained whole (`modules_to_save`) in the base.
        _unwrap(base)
        _restore(base, originals)


def _load(base: PreTrainedModel, directory: Path, device: str) -> PeftModel:
    try:
        adapted = PeftModel.from_pretrained(base, str(directory), NAME, torch_device=device)
        _require_fit(adapted, directory, device)
    except (KeyError, ValueError, RuntimeError) as error:  # as PEFT and PyTorch put it
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(f"{str(directory)!r} does not fit this base model: {_reason(error)}") from error
    return adapted


def _reason(error: Exception) -> str:
    """The first shape that differs, as PyTorch lists them; else what the error says."""
    said = " ".join(str(error).split())
    shapes = re.findall(r"size mismatch for (\S+): .*?torch\.Size\((.*?)\).*?torch\.Size\((.*?)\)", said)
    if not shapes:
        return said
    name, own, place = shapes[0]
    others = f" (and {len(shapes) - 1} more differ)" if len(shapes) > 1 else ""
    return f"size mismatch: {name} has the shape {own} in the adapter and {place} in the model{others}"


def _require_fit(adapted: PeftModel, directory: Path, device: str) -> None:
    """PEFT is content when an adapter lacks weights that the model has a place for, or the other way round."""
    if adapted.active_peft_config.is_prompt_learning:
        return  # one tensor, which fits or does not
    loaded = adapted.load_adapter(str(directory), NAME, torch_device=device)
    for names, fault in ((loaded.missing_keys, "lacks"), (loaded.unexpected_keys, "has what the model lacks:")):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{str(directory)!r} does not fit this base model: it {fault} {names[0]!r}{others}")


def _named_in(base: PreTrainedModel, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies of the parameters of the base that an adapter holds values of, such as biases or embeddings."""
    parameters = dict(base.named_parameters())
    names = {name.removeprefix("base_model.model.").replace(".base_layer.", ".") for name in weights}
    return {name: parameters[name].detach().clone() for name in sorted(names & parameters.keys())}


@torch.no_grad()
def _restore(base: PreTrainedModel, originals: dict[str, torch.Tensor]) -> None:
    parameters = dict(base.named_parameters())
    for name, value in originals.items():
        parameters[name].copy_(value)
    base.requires_grad_(False)


def _unwrap(module: nn.Module) -> None:
    """Put every module back in the place where PEFT has put a wrapper of it."""
    for name, child in module.named_children():
        original = child
        while isinstance(original, (BaseTunerLayer, AuxiliaryTrainingWrapper)):
            tuner = isinstance(original, BaseTunerLayer)
            original = original.get_base_layer() if tuner else original.original_module
        if original is not child:
            setattr(module, name, original)
        _unwrap(original)
    if hasattr(module, "peft_config"):
        del module.peft_config
