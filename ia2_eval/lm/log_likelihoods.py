"""From the logits behind a row of tokens to what is answered about the row's continuations.

Shapes: T tokens of the longest continuation, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ia2_eval.scoring.model_answers import TOP, LogLikelihood, NextToken

Decode = Callable[[list[int]], str]


def continuation_answers(
    logits: Tensor, continuations: Sequence[list[int]], softmax_dtype: torch.dtype | None, decode: Decode
) -> list[LogLikelihood]:
    """An answer for each continuation; all of them end where the row does.

    Args:
        logits: [T or more, V] at the last places of the row, each of which predicts the token behind it.
        continuations: their tokens, at least one.
        softmax_dtype: None for that of the logits.
        decode: of tokens, special ones too.
    """
    logits = logits[-max(map(len, continuations)) :]
    log_probabilities = logits.log_softmax(-1, dtype=softmax_dtype)  # [T, V]
    greedy = log_probabilities.argmax(-1).tolist()
    said: dict[int, NextToken] = {}  # by length: where a continuation begins
    chosen = []
    for continuation in continuations:
        length = len(continuation)
        if length not in said:
            said[length] = _next_token(logits[-length], softmax_dtype, decode([greedy[-length]]))
        ids = torch.tensor(continuation, device=logits.device)
        chosen.append(log_probabilities[-length:].gather(1, ids[:, None]).sum())
    return [
        LogLikelihood((value, greedy[-len(continuation) :] == continuation), said[len(continuation)])
        for value, continuation in zip(torch.stack(chosen).tolist(), continuations, strict=True)
    ]


def _next_token(logits: Tensor, softmax_dtype: torch.dtype | None, text: str) -> NextToken:
    """From the logits [V] of a place, and its most likely token."""
    probabilities = logits.softmax(-1, dtype=softmax_dtype)  # not the exponential of a rounded logarithm
    top = probabilities.topk(min(TOP, len(logits))).values.float()
    log_probabilities = top.clamp_min(torch.finfo(top.dtype).tiny).log()
    return NextToken(text, tuple(log_probabilities.tolist()))
