"""Texts that begin alike: their common beginning goes through the model once, and every text continues from it.

The keys and values of the prefix are in memory once, not once for every row. All queries of a batch attend to them in
one matrix product; what they attend to among their own tokens is computed apart, and the two parts are merged by their
log-sum-exp:

    softmax([a, b]) [u; v] = (exp(A) softmax(a) u + exp(B) softmax(b) v) / (exp(A) + exp(B)),
    A = logsumexp(a), B = logsumexp(b)

Shapes: B rows, H query heads, K key-value heads, P prefix tokens, T tokens that are forwarded, S tokens of a row behind
the prefix, d width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from ia2_training.roomy_cache import RoomyLayer
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

ATTENTION = "ia2_shared_prefix"
"""Name of the attention in transformers' registry."""

BLOCK = {"cpu": 2**20}
"""Attention scores that are in memory at a time, by device: on a CPU what its caches hold."""
BLOCK_ELSEWHERE = 2**26

OTHER_KINDS = ("softcap", "s_aux", "sinks", "sliding_window", "position_bias", "indices", "block_indices")
"""Settings under which a model's attention is not the plain one that is merged here."""


@dataclass(frozen=True)
class SharedPrefix:
    """What a model has computed of the tokens that all rows begin with, under the adapter that was active."""

    length: int
    """P."""
    layers: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of each layer, [1, K, P, d]."""

    @classmethod
    @torch.no_grad()
    def read(cls, model: PreTrainedModel | PeftModel, token_ids: Sequence[int]) -> SharedPrefix:
        """Forward the tokens once."""
        cache = DynamicCache()
        model(torch.tensor([token_ids], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cls(len(token_ids), tuple((layer.keys, layer.values) for layer in cache.layers))

    @contextmanager
    def attended(self, model: PreTrainedModel | PeftModel) -> Iterator[None]:
        """Within the context, the model's queries attend to the prefix, then to the cache that they are given."""
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

        config = model.config.get_text_config()
        before = config._attn_implementation
        AttentionInterface.register(ATTENTION, partial(_attend, self))
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        config._attn_implementation = ATTENTION
        try:
            yield
        finally:
            config._attn_implementation = before
            AttentionInterface.register(ATTENTION, _attend)  # the registry must not keep the prefix in memory


def continuation_cache(layers: int, prefix_length: int, room: int) -> Cache:
    """A cache for what follows P tokens that it does not hold, with room for what is to be generated."""
    return Cache(layers=[_ContinuationLayer(prefix_length, room) for _ in range(layers)])


class _ContinuationLayer(RoomyLayer):
    def __init__(self, prefix_length: int, room: int) -> None:
        super().__init__(room)
        self._prefix_length = prefix_length

    def get_seq_length(self) -> int:
        return self._prefix_length + int(super().get_seq_length())

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return int(super().get_seq_length()) + query_length, self._prefix_length


def _attend(
    prefix: SharedPrefix,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Attention of queries [B, H, T, d] to the prefix and to keys and values [B, K, S, d]: [B, T, H, d].

    Args:
        prefix: what all of them attend to.
        module: the attention module, which knows the index of its layer.
        query: of the tokens that are forwarded.
        key: of all tokens of the rows behind the prefix.
        value: of the same.
        attention_mask: [B, 1, T, S], True where a query attends; None: each to itself and what is before it.
        scaling: of the scores; None for 1 / sqrt(d).
        settings: what an attention may be asked for besides.

    Raises:
        NotImplementedError: the model's attention is of another kind.
    """
    other = [name for name in OTHER_KINDS if settings.get(name) is not None]
    if other:
        raise NotImplementedError(f"attention with {', '.join(other)} cannot be merged from parts")
    rows, heads, tokens, width = query.shape
    groups, length = key.shape[1:3]
    shared_keys, shared_values = prefix.layers[int(module.layer_idx)]  # type: ignore[arg-type]
    query = query.float() * (width**-0.5 if scaling is None else scaling)
    query = query.view(rows, groups, heads // groups, tokens, width)
    together = query.transpose(0, 1).reshape(1, groups, 1, -1, width)  # [1, K, 1, B * H/K * T, d]: all rows as one
    with torch.autocast(query.device.type, enabled=False):  # an error of the masses is one of the weights
        shared, shared_mass = (
            part.view(groups, rows, heads // groups, tokens, -1).transpose(0, 1)
            for part in _attention(together, shared_keys, shared_values)
        )
        own, own_mass = _attention(query, key, value, _allowed(attention_mask, tokens, length, query.device))
    merged = own.lerp(shared, (shared_mass - own_mass).sigmoid())  # exp(A) / (exp(A) + exp(B)) = sigmoid(A - B)
    return merged.flatten(1, 2).transpose(1, 2).to(value.dtype).contiguous(), None


def _attention(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attention and the log-sum-exp of its scores, in float32, block by block of the queries.

    Args:
        query: [B, K, G, T, d], scaled, G heads for each of the K of the keys.
        key: [B, K, S, d].
        value: the same.
        allowed: [B or 1, T, S], True where a query attends; None: everywhere.

    Returns:
        [B, K, G, T, d] and [B, K, G, T, 1]; where a query attends to nothing, a finite value and close to -inf.
    """
    rows, groups, heads, tokens, width = query.shape
    keys, values = key.float().transpose(2, 3), value.float()
    attended, mass = torch.empty_like(query), query.new_empty(*query.shape[:-1], 1)
    most = BLOCK.get(query.device.type, BLOCK_ELSEWHERE)
    block = max(1, most // (rows * groups * heads * key.shape[2]))
    for start in range(0, tokens, block):
        part = slice(start, min(start + block, tokens))
        scores = query[:, :, :, part].flatten(2, 3) @ keys  # [B, K, G * t, S]
        scores = scores.view(rows, groups, heads, -1, key.shape[2])
        if allowed is not None:
            scores.masked_fill_(~allowed[:, None, None, part], torch.finfo(scores.dtype).min / 2)
        highest = scores.amax(-1, keepdim=True)
        total = scores.sub_(highest).exp_().sum(-1, keepdim=True)
        mass[:, :, :, part] = highest + total.log()
        read = (scores.flatten(2, 3) @ values).view(rows, groups, heads, -1, width)
        attended[:, :, :, part] = read / total
    return attended, mass


def _allowed(mask: Tensor | None, tokens: int, length: int, device: torch.device) -> Tensor | None:
    """Which of the S tokens behind the prefix each of the last T attends to: [B or 1, T, S], or None for all."""
    if mask is not None:
        return mask[:, 0]
    if tokens == 1:
        return None
    return torch.ones(1, tokens, length, dtype=torch.bool, device=device).tril(length - tokens)
