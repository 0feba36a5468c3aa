"""One response of the teacher while it is being decoded, and the rule for where it ends.

Shapes: L layers, G response tokens, d width, V vocabulary, k most probable tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AnswerEnd = Callable[[str], "int | None"]
"""Index just past the first complete answer in a text; None while there is none."""


def text_of(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The text of response tokens, without special tokens."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def tokens_to_answer_end(
    tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], answer_end: AnswerEnd | None
) -> int | None:
    """The fewest tokens whose text reaches the end of the first answer; None while it is not complete."""
    end = answer_end(text_of(tokenizer, tokens)) if answer_end else None
    if end is None:
        return None
    return next(count for count in range(1, len(tokens) + 1) if len(text_of(tokenizer, tokens[:count])) >= end)


@dataclass
class Response:
    """One response while it is being decoded, and the rule for where it ends."""

    tokenizer: PreTrainedTokenizerBase
    eos: int | None
    stop_ids: frozenset[int]
    answer_end: AnswerEnd | None
    max_new_tokens: int
    distributions: bool
    top_k: int | None
    tokens: list[int] = field(default_factory=list)
    activations: list[Tensor] = field(default_factory=list)
    log_probabilities: list[Tensor] = field(default_factory=list)
    token_ids: list[Tensor] = field(default_factory=list)
    done: bool = False
    closing: bool = False  # on another end token: the tokenizer's own comes next, whatever the model predicts

    def add(self, token: int, activations: Tensor, logits: Tensor) -> int:
        """Take the predicted token, and activations [L, 1, d] and logits [V] of the position that predicted it."""
        token = self.eos if self.closing and self.eos is not None else token
        self.tokens.append(token)
        self.activations.append(activations)
        if self.distributions:
            self._add_distribution(logits)
        self.done = self.closing or token == self.eos or len(self.tokens) == self.max_new_tokens
        if not (self.closing or token == self.eos or self.eos is None):
            self.closing = token in self.stop_ids
            kept = tokens_to_answer_end(self.tokenizer, self.tokens, self.answer_end)
            if kept is not None and kept < len(self.tokens):  # the position after the answer has been recorded too
                self.tokens[kept:] = [self.eos]
                self.done = True
        return token

    def _add_distribution(self, logits: Tensor) -> None:
        log_probabilities = logits.float().log_softmax(-1)  # [V]
        if self.top_k is not None:
            log_probabilities, token_ids = log_probabilities.topk(self.top_k)  # each [k]
            self.token_ids.append(token_ids)
        self.log_probabilities.append(log_probabilities)

    def stacked_activations(self) -> Tensor:
        """[L, G, d] on the CPU."""
        return torch.cat(self.activations[: len(self.tokens)], dim=1).cpu()

    def stacked_distributions(self) -> tuple[Tensor | None, Tensor | None]:
        """Log-probabilities [G, V] or [G, k], and token ids [G, k], as far as there are any; on the CPU."""
        kept = slice(len(self.tokens))
        return (
            torch.stack(self.log_probabilities[kept]).cpu() if self.log_probabilities else None,
            torch.stack(self.token_ids[kept]).cpu() if self.token_ids else None,
        )
