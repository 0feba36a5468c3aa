"""How sure the model was of an answer inside the text that it generated."""

from __future__ import annotations

import math
from collections.abc import Sequence


def answer_confidence(
    span: slice | None, token_ends: Sequence[int], token_log_likelihoods: Sequence[float]
) -> float | None:
    """Probability of writing the answer given the text before it: the product over the tokens that overlap its span.

    A character belongs to the token that completes it. Tokens with only its first bytes add no text of their own: they
    belong to the place where they stand, and so to the answer if it begins or goes on there. A token that ends in such
    bytes after text of its own, as a space, belongs to that text.

    Args:
        span: where the answer stands; None when there is none.
        token_ends: length of the text up to and including each token.
        token_log_likelihoods: of each token, in nats.

    Returns:
        None without an answer, or where the tokens do not reach its end.

    Raises:
        ValueError: the tokens and their log-likelihoods differ in number.
    """
    if len(token_ends) != len(token_log_likelihoods):
        raise ValueError(f"{len(token_ends)} tokens with {len(token_log_likelihoods)} log-likelihoods")
    if span is None or not token_ends or max(token_ends) < span.stop:
        return None
    starts = (0, *token_ends[:-1])
    of_answer = [
        log_likelihood
        for start, end, log_likelihood in zip(starts, token_ends, token_log_likelihoods, strict=True)
        if start < span.stop and (end > span.start or start >= span.start)
    ]
    return min(math.exp(math.fsum(of_answer)), 1.0)
