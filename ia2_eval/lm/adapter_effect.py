"""Whether an adapter that is attached to a model does anything to it.

An adapter can be attached and all the same not be applied; its results are then those of the base under its name (as
happened with vLLM, https://github.com/EleutherAI/lm-evaluation-harness/issues/2432).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from peft import PeftModel

logger = logging.getLogger(__name__)

PROBE_LENGTH = 16
NEUTRAL = {"lora_B": 0.0, "lora_embedding_B": 0.0, "ia3_l": 1.0}
"""Values of the parameters, by name, with which LoRA and (IA)^3 start: they amount to no update."""
SUBSTANTIAL = {"lora_B": 1e-3, "lora_embedding_B": 1e-3, "ia3_l": 1e-2}
"""Distances from these values that half precision does not round away on all tokens."""


def require_effect(model: PeftModel, name: str) -> None:
    """An adapter must change the logits of a few fixed tokens; one that was never trained is only warned of, and so is
    one that hardly was where the model computes in half precision, in which a small effect is lost to rounding.

    Two forward passes of one row. The model is left as it was.

    Args:
        model: with the adapter attached and not merged.
        name: of the adapter, for PEFT.

    Raises:
        UserError: it is not the active adapter, or it was trained and changes nothing, see `refuse_no_effect`.
        ValueError: it is merged, and PEFT would undo that to compare.
    """
    if any(getattr(module, "merged", False) for module in model.modules()):
        raise ValueError(f"the adapter {name!r} is merged into the base weights: check it before")
    if list(model.active_adapters) != [name]:
        active = ", ".join(map(repr, model.active_adapters)) or "none"
        raise UserError(f"the adapter {name!r} is attached, but the active one is {active}: call set_adapter({name!r})")
    row = torch.tensor([probe(model.config.get_text_config().vocab_size)], device=model.device)
    with _left_as_it_was(model), torch.no_grad():
        adapted = _logits(model, row)
        with model.disable_adapter():
            plain = _logits(model, row)
    if torch.equal(adapted, plain):
        refuse_no_effect(name, _weights(model, name), full_precision=_full_precision(model))


def probe(vocabulary: int) -> list[int]:
    """The tokens that a model is tried on, spread over its vocabulary."""
    return [vocabulary * (2 * index + 1) // (2 * PROBE_LENGTH) for index in range(PROBE_LENGTH)]


def refuse_no_effect(name: str, weights: Mapping[str, Tensor], full_precision: bool) -> None:
    """What follows from an adapter that changes nothing.

    Args:
        name: of the adapter, for the message.
        weights: its own, named as PEFT stores them.
        full_precision: whether the model computes in float32 or float64 throughout.

    Raises:
        UserError: its weights say that it should, and rounding cannot be why it does not.
    """
    if amounts_to_nothing(weights):
        logger.warning("the adapter %r changes nothing: its weights are those that it started with", name)
        return
    if not full_precision and not substantial(weights):
        logger.warning(
            "the adapter %r changes no logit of a few fixed tokens: either its effect is below the rounding of half "
            "precision, or it is not applied; in both cases its results will be those of the base",
            name,
        )
        return
    raise UserError(
        f"the adapter {name!r} is attached but changes nothing, though its weights say that it should: its results "
        "would be those of the base. Check that it was made for this base model and that it is not disabled"
    )


def amounts_to_nothing(weights: Mapping[str, Tensor]) -> bool:
    """Whether the weights of an adapter, named as PEFT stores them, are a LoRA or an (IA)^3 without any update."""
    deciding = list(_deciding(weights))
    return bool(deciding) and all(bool((value == NEUTRAL[part]).all()) for part, value in deciding)


def substantial(weights: Mapping[str, Tensor]) -> bool:
    """Whether a LoRA or an (IA)^3 has moved so far from where it starts that an effect shows in half precision."""
    return any(bool(((value - NEUTRAL[part]).abs() >= SUBSTANTIAL[part]).any()) for part, value in _deciding(weights))


def _deciding(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The weights that start neutral, each with what it is called in NEUTRAL."""
    return ((part, value) for name, value in weights.items() for part in name.split(".") if part in NEUTRAL)


def _weights(model: PeftModel, name: str) -> dict[str, Tensor]:
    from peft import get_peft_model_state_dict

    weights: dict[str, Tensor] = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return weights


def _full_precision(model: PeftModel) -> bool:
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    return dtypes <= {torch.float32, torch.float64}


def _logits(model: PeftModel, row: Tensor) -> Tensor:
    """Logits [T, V] behind the tokens of a row [1, T], in float32, without those of virtual tokens."""
    output = model(input_ids=row, attention_mask=torch.ones_like(row))
    return output.logits[0, -row.shape[1] :].float()  # type: ignore[no-any-return]


@contextmanager
def _left_as_it_was(model: PeftModel) -> Iterator[None]:
    """The model in evaluation mode; afterwards every module is in its mode again.

    PEFT makes adapters trainable when it enables them again: what needs a gradient is restored too.
    """
    modes = [(module, module.training) for module in model.modules()]
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in trainable:
            parameter.requires_grad_(requires_grad)
