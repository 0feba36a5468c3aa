"""Prompt and prefix tuning, exactly: virtual tokens stand at positions 0..v-1 and the tokens of every row at v..,
whatever the row's padding.

PEFT's own forward drops position ids under prompt tuning, and puts the virtual tokens before the padding, so that a row
depends on the length of its neighbours. Shapes: B batch, T tokens, v virtual tokens, d width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import Cache, PreTrainedModel


def virtual_token_count(model: PreTrainedModel | PeftModel) -> int:
    """Number v of virtual tokens that the model's adapter puts before every row; 0 for other adapters and none."""
    config = getattr(model, "active_peft_config", None)
    if config is None or not config.is_prompt_learning or getattr(model, "_adapters_disabled", False):
        return 0
    count: int = config.num_virtual_tokens
    return count


def with_virtual_tokens(model: PeftModel, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor | Cache]:
    """What the base model is to be given instead of left-padded rows, so that they follow the virtual tokens.

    Under prompt tuning these are the embeddings [B, v + T, d] of padding, virtual tokens and tokens, in this order;
    under prefix tuning the tokens [B, T] and a cache with v keys and values for each layer. Either way a row's tokens
    are its last positions.

    Args:
        model: a model with an adapter for which `virtual_token_count` is not 0.
        input_ids: [B, T].
        attention_mask: [B, T], 0 on padding, which is on the left.

    Returns:
        Keyword arguments: inputs, attention mask [B, v + T] and position ids, of as many columns as there are inputs.

    Raises:
        ValueError: prefix tuning of a model with sliding attention, when rows of different lengths reach beyond its
            window: the padding between prefix and tokens would count.
    """
    count = virtual_token_count(model)
    rows, width = input_ids.shape
    virtual = model.get_prompt(batch_size=rows)
    if not isinstance(virtual, Tensor):  # a cache
        _require_window(model, attention_mask, count)
        mask = torch.nn.functional.pad(attention_mask, (count, 0), value=1)
        return {
            "input_ids": input_ids,
            "attention_mask": mask,
            "position_ids": _positions(mask)[:, count:],
            "past_key_values": virtual,
        }
    tokens = model.get_input_embeddings()(input_ids)  # [B, T, d]
    embeddings = torch.cat([virtual.to(tokens), tokens], 1)  # [B, v + T, d]: virtual, padding, tokens
    padding = width - attention_mask.sum(1, keepdim=True)  # [B, 1]
    column = torch.arange(count + width, device=input_ids.device).expand(rows, -1)
    # Padding comes first, so that windows of attention do not count it; what stands there does not matter.
    source = torch.where(column < padding + count, (column - padding).clamp_min(0), column)  # [B, v + T]
    embeddings = embeddings[torch.arange(rows, device=input_ids.device)[:, None], source]
    mask = (column >= padding).to(attention_mask.dtype)
    return {"inputs_embeds": embeddings, "attention_mask": mask, "position_ids": _positions(mask)}


def _positions(mask: Tensor) -> Tensor:
    """Positions counted over what is not padding; 0 on padding."""
    return (mask.cumsum(1) - 1).clamp_min(0) * mask


def _require_window(model: PeftModel, attention_mask: Tensor, count: int) -> None:
    window = getattr(model.config, "sliding_window", None)
    width = count + attention_mask.shape[1]
    if window is not None and width > window and not bool(attention_mask.all()):
        raise ValueError(
            f"A prefix of {count} virtual tokens and rows of different lengths, up to {width - count} tokens, do not "
            f"fit into the model's attention window of {window}. Use one row at a time: micro_batch_size=1 in "
            "training, batch size 1 in evaluation."
        )
