"""Token sequences and left-padded batches of them.

Padding is on the left, so that every response ends at the end of the batch: the positions that predict it are the last
ones, for the language-model head (`logits_to_keep`) and for recorded activations alike. Explicit position ids make the
padding exact.

Shapes: B batch, T tokens, G response tokens of the longest row, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .virtual_tokens import virtual_token_count, with_virtual_tokens

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenSequence:
    """A tokenised prompt and the response that the model is to give to it."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts with their responses.

    The last response token of a row is a label only: nothing is predicted from it, so it is not forwarded. The
    response of row b fills the last G_b columns of `response_ids`, and the last G_b of the T positions predict it.
    """

    input_ids: Tensor
    """[B, T] int64, the prompt and all but the last response token."""
    attention_mask: Tensor
    """[B, T] int64, 0 on padding."""
    position_ids: Tensor
    """[B, T] int64, counted from the first real token."""
    response_ids: Tensor
    """[B, G] int64, right-aligned."""
    response_mask: Tensor
    """[B, G] bool, False where the response of a row has not begun."""

    def logits(self, model: PreTrainedModel | PeftModel, last: int) -> Tensor:
        """Forward the batch; logits [B, last, V] of the last positions. Virtual tokens of an adapter come first."""
        if virtual_token_count(model):
            model, inputs = model.get_base_model(), with_virtual_tokens(model, self.input_ids, self.attention_mask)
        else:
            inputs = {
                "input_ids": self.input_ids,
                "attention_mask": self.attention_mask,
                "position_ids": self.position_ids,
            }
        logits: Tensor = model(**inputs, logits_to_keep=last, use_cache=False).logits
        return logits


def make_batch(sequences: Sequence[TokenSequence], *, device: torch.device | str = "cpu", pad_id: int = 0) -> Batch:
    """Batch of the sequences. `pad_id` may be any token: padding is masked."""
    inputs, attention_mask, position_ids = left_pad(
        [sequence.prompt_ids + sequence.response_ids[:-1] for sequence in sequences], device=device, pad_id=pad_id
    )
    responses, response_mask, _ = left_pad([sequence.response_ids for sequence in sequences], device=device)
    return Batch(inputs, attention_mask, position_ids, responses, response_mask.bool())


def left_pad(
    rows: Sequence[Sequence[int]], *, device: torch.device | str = "cpu", pad_id: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, attention mask and position ids, each [B, T] int64, of rows padded on the left."""
    width = max(len(row) for row in rows)
    pads = [width - len(row) for row in rows]
    ids = [[pad_id] * pad + list(row) for pad, row in zip(pads, rows, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in pads]
    positions = [[0] * pad + list(range(width - pad)) for pad in pads]
    padded = torch.tensor([ids, mask, positions]).to(device)  # [3, B, T], one copy to the device
    return padded[0], padded[1], padded[2]


def pad_left(rows: Tensor, positions: int, dim: int) -> Tensor:
    """Zeros before the rows, along one dimension, so that there are `positions` of them."""
    missing = list(rows.shape)
    missing[dim] = positions - rows.shape[dim]
    return torch.cat([rows.new_zeros(missing), rows], dim) if missing[dim] else rows


def encode_prompt(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Token ids of a prompt, with the special tokens that the tokenizer usually puts before it (BOS for Llama).

    Raises:
        ValueError: the prompt gives no token, or the tokenizer closes it with its end-of-sequence token.
    """
    ids: tuple[int, ...] = tuple(tokenizer(text)["input_ids"])
    if not ids:
        raise ValueError(f"The prompt {text!r} has no tokens: there is no position to predict a response from.")
    if ids[-1] == tokenizer.eos_token_id and not text.endswith(tokenizer.eos_token):
        raise ValueError(
            f"The tokenizer ends every prompt with {tokenizer.eos_token!r}, so that no response can follow. "
            "Load it with add_eos_token=False."
        )
    return ids


def encode_answer(tokenizer: PreTrainedTokenizerBase, answer: str, max_new_tokens: int) -> tuple[int, ...]:
    """Token ids of a ground-truth answer, encoded alone; the end-of-sequence token follows in multi-token tasks only.

    The rule of the public code of arXiv 2509.22621: EOS when `max_new_tokens` > 1, and no cut at `max_new_tokens`.

    Raises:
        ValueError: the answer gives no token.
    """
    ids: tuple[int, ...] = tuple(tokenizer(answer, add_special_tokens=False)["input_ids"])
    if max_new_tokens > 1:
        ids += (end_of_sequence(tokenizer),)
    if not ids:
        raise ValueError(f"The answer {answer!r} has no tokens: there is nothing to learn from it.")
    return ids


def end_of_sequence(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id of the tokenizer's end-of-sequence token.

    Raises:
        ValueError: it has none.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("Multi-token responses end with an end-of-sequence token: set tokenizer.eos_token.")
    eos: int = tokenizer.eos_token_id
    return eos
