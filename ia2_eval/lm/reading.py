"""Rows of tokens on their way through a model: behind a shared prefix, behind virtual tokens, or alone.

Shapes: B rows, P prefix tokens, v virtual tokens, T tokens of the longest row, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from ia2_training.batches import left_pad
from ia2_training.virtual_tokens import virtual_token_count, with_virtual_tokens
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache

from ia2_eval.errors import UserError
from ia2_eval.lm.shared_prefix import SharedPrefix, continuation_cache

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


class Reading:
    """A batch of rows, left-padded, that a model reads and may go on reading token by token.

    A row gives the same, up to rounding, whatever else is in the batch.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        rows: Sequence[Sequence[int]],
        prefix: SharedPrefix | None = None,
        room: int = 0,
    ) -> None:
        """
        Args:
            model: what reads.
            rows: B rows of token ids, without those of the prefix.
            prefix: what all rows begin with; the adapter must not put virtual tokens before it.
            room: most tokens that follow one by one.
        """
        self._model, self._prefix = model, prefix
        input_ids, mask, positions = left_pad(rows, device=model.device)
        self._inputs: dict[str, Any] = {"input_ids": input_ids, "position_ids": positions}
        if virtual_token_count(model):
            self._model = model.get_base_model()
            self._inputs = dict(with_virtual_tokens(model, input_ids, mask))
            mask = self._inputs.pop("attention_mask")  # [B, v + T]
        elif prefix is not None:
            mask = nn.functional.pad(mask, (prefix.length, 0), value=1)  # [B, P + T]
            self._inputs["position_ids"] = positions + prefix.length
        self._mask, self._padded = mask, not bool(mask.all())
        if prefix is not None:
            self._inputs["past_key_values"] = continuation_cache(len(prefix.layers), prefix.length, room)
        elif room and "past_key_values" not in self._inputs:
            self._inputs["past_key_values"] = _cache(self._model, room)

    def first(self, last: int = 1) -> Tensor:
        """Read the rows; logits [B, last, V] at their last positions."""
        logits = self._forward(last)
        self._inputs = {name: self._inputs[name] for name in ("past_key_values",) if name in self._inputs}
        return logits

    def next(self, tokens: Tensor) -> Tensor:
        """Read one more token of each row, [B]; logits [B, V] behind it."""
        self._mask = nn.functional.pad(self._mask, (0, 1), value=1)
        self._inputs["input_ids"] = tokens[:, None]
        self._inputs["position_ids"] = self._mask.sum(1, keepdim=True) - 1
        return self._forward(1)[:, 0]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._mask = self._mask[rows]
        self._inputs["past_key_values"].batch_select_indices(rows)

    @torch.no_grad()
    def _forward(self, last: int) -> Tensor:
        mask = self._mask if self._padded else None  # without one, attention skips what lies ahead
        caching = "past_key_values" in self._inputs
        with nullcontext() if self._prefix is None else self._prefix.attended(self._model):
            output = self._model(**self._inputs, attention_mask=mask, use_cache=caching, logits_to_keep=last)
        if caching and getattr(output, "past_key_values", None) is None:
            raise UserError(
                f"a {self._model.config.model_type} model keeps no keys and values from which ia2-hf could go on: "
                "use --model hf"
            )
        logits: Tensor = output.logits
        return logits[:, -last:]  # a model may not know `logits_to_keep`


def _cache(model: PreTrainedModel | PeftModel, room: int) -> Cache:
    """An empty cache: transformers' own where layers are of several kinds."""
    config = model.config.get_text_config()
    if not all_layers_see_everything(model):
        return DynamicCache(config=config)
    return continuation_cache(config.num_hidden_layers, 0, room)


def all_layers_see_everything(model: PreTrainedModel | PeftModel) -> bool:
    """Whether every layer attends to all tokens before, by the model's configuration."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return not kinds - {"full_attention"} and all(window is None for window in windows)


def _positions_depend_on_length(model: PreTrainedModel | PeftModel) -> bool:
    """Whether the rotary frequencies of all tokens change once the text is long, those of a prefix too."""
    rotary = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = {each.get("rope_type") for each in (rotary, *rotary.values()) if isinstance(each, dict)}
    return not kinds.isdisjoint({"dynamic", "longrope"})


PROBE = 12
"""Tokens of the texts on which a model is tried."""


@torch.no_grad()
def can_share_prefix(model: PreTrainedModel | PeftModel) -> bool:
    """Whether a model gives the same behind a shared prefix as when it reads whole texts.

    It cannot where layers see a window only, or positions depend on the length of the text. Whatever else a model may
    do (biases of positions, caps on scores, sinks) shows in a trial on three texts. A model that fails is to read whole
    texts.
    """
    if not all_layers_see_everything(model) or _positions_depend_on_length(model) or virtual_token_count(model):
        return False
    draws = torch.Generator().manual_seed(0)
    vocabulary = model.config.get_text_config().vocab_size
    first, *others = torch.randint(vocabulary, (3, PROBE), generator=draws).tolist()
    beginning, ends = first[: PROBE // 2], [first[PROBE // 2 :], others[0][:3], others[1][:4]]
    expected = torch.cat([Reading(model, [beginning + end]).first() for end in ends])
    try:
        found, other = (
            Reading(model, ends, SharedPrefix.read(model, ids)).first() for ids in (beginning, others[0][: PROBE // 2])
        )
    except Exception as error:
        # A model may refuse a cache, an attention or an argument in many ways; it is slower then, not wrong.
        logger.warning("this model reads every prompt from its beginning: %s: %s", type(error).__name__, error)
        return False
    tolerance = 1e-3 if model.dtype in (torch.float32, torch.float64) else 5e-2
    same = torch.allclose(found, expected, rtol=0, atol=tolerance * max(1.0, expected.abs().max().item()))
    attends = not torch.equal(found, other)  # where it hardly matters what is before, a model that ignores it is close
    if not same or not attends:
        logger.warning("this model reads every prompt from its beginning: its attention is of another kind")
    return same and attends
