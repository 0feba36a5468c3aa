"""Greedy decoding of a batch of prompts, recording what the layers give where each token is predicted.

Prompts are prefilled in small groups of similar length, a long one alone: without padding no attention mask is needed,
and attention skips what lies ahead. Decoding then goes on with all rows together.

Shapes: B batch, T tokens, L layers, H key-value heads, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from .activations import Output, record_activations
from .attach import require_no_adapter
from .batches import left_pad
from .roomy_cache import RoomyLayer

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

PREFILL_TOKENS = 1024
"""Most tokens, padding included, of one pass over several prompts."""


class Sink(Protocol):
    """Where the tokens of one row go."""

    @property
    def done(self) -> bool:
        """Whether the row needs no further token."""

    def add(self, token: int, activations: Tensor, logits: Tensor) -> int:
        """Take a predicted token, and the activations [L, 1, d] and logits [V] of the position that predicted it.

        Returns:
            The token that the row goes on with.
        """


@torch.no_grad()
def decode(
    model: PreTrainedModel | PeftModel,
    prompts: Sequence[Sequence[int]],
    sinks: Sequence[Sink],
    room: int,
    output: Output,
) -> None:
    """Decode greedily until every row is done.

    Args:
        model: the base model; an adapter on it is switched off meanwhile.
        prompts: B prompts.
        sinks: what takes the tokens of each row.
        room: most tokens of a row.
        output: what to record of the layers.
    """
    width = max(map(len, prompts))
    cache = _RightAlignedCache(len(prompts), width, room - 1) if room > 1 else None
    fed = [0] * len(prompts)
    with _without_adapter(model), _frozen(model), record_activations(model, 1, output) as outputs:

        def forward(rows: Sequence[int], **inputs: Any) -> None:
            logits = model(**inputs, use_cache=cache is not None, logits_to_keep=1).logits[:, -1]  # [B, V]
            activations = torch.stack(outputs, dim=1)  # [B, L, 1, d]
            for place, (row, token) in enumerate(zip(rows, logits.argmax(-1).tolist(), strict=True)):
                if not sinks[row].done:
                    fed[row] = sinks[row].add(token, activations[place], logits[place])

        for rows in _prefill_groups(prompts):
            input_ids, mask, positions = left_pad([prompts[row] for row in rows], device=model.device)
            prefilled = None if cache is None else DynamicCache()
            forward(
                rows,
                input_ids=input_ids,
                attention_mask=None if mask.all() else mask,
                position_ids=positions,
                past_key_values=prefilled,
            )
            if cache is not None:
                cache.take(rows, prefilled)
        rows = list(range(len(prompts)))
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        mask = (torch.arange(width, device=model.device) >= width - lengths[:, None]).long()  # [B, T]
        while cache is not None and not all(sink.done for sink in sinks):
            going = [place for place, row in enumerate(rows) if not sinks[row].done]
            if 2 * len(going) <= len(rows):  # rows that are done run along until half of them are
                rows = [rows[place] for place in going]
                kept = torch.tensor(going, device=model.device)
                cache.batch_select_indices(kept)
                mask, lengths = mask[kept], lengths[kept]
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)  # [B, T + steps]
            forward(
                rows,
                input_ids=torch.tensor([[fed[row]] for row in rows], device=model.device),
                attention_mask=mask,
                position_ids=lengths[:, None],
                past_key_values=cache,
            )
            lengths = lengths + 1


def _prefill_groups(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows that are prefilled together: neighbours in length, no more than `PREFILL_TOKENS` unless alone."""
    groups: list[list[int]] = []
    for row in sorted(range(len(prompts)), key=lambda row: len(prompts[row])):
        if groups and len(prompts[row]) * (len(groups[-1]) + 1) <= PREFILL_TOKENS:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


class _RightAlignedCache(Cache):  # type: ignore[misc]
    """The prefixes of all rows, which end together."""

    layers: list[RoomyLayer]

    def __init__(self, rows: int, width: int, room: int) -> None:
        super().__init__(layers=[])
        self._rows, self._width, self._room = rows, width, room

    def take(self, rows: Sequence[int], prefilled: DynamicCache) -> None:
        """Take over the keys and values of some rows."""
        if not self.layers:
            self.layers = [RoomyLayer(self._room) for _ in prefilled.layers]
            for own, layer in zip(self.layers, prefilled.layers, strict=True):
                own.allocate(self._rows, self._width, layer.keys, layer.values)
        for own, layer in zip(self.layers, prefilled.layers, strict=True):
            own.keys[list(rows), :, -layer.keys.shape[2] :] = layer.keys
            own.values[list(rows), :, -layer.values.shape[2] :] = layer.values


def _without_adapter(model: PreTrainedModel | PeftModel) -> AbstractContextManager[Any]:
    """The model as its pure base."""
    if hasattr(model, "disable_adapter"):  # PeftModel
        return cast("AbstractContextManager[Any]", model.disable_adapter())
    require_no_adapter(model)
    return nullcontext()


@contextmanager
def _frozen(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """No parameter requires gradients: where one does, PyTorch multiplies matrices another way, even under `no_grad`,
    and rounds differently."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
