"""What a language model of this package answers beyond what lm-eval asks for.

lm-eval wants a pair for a log-likelihood and a string for a generation. The types here are such pairs and strings, so
they go through lm-eval's filters, its cache and its tasks; what they carry besides is read by `process_results`. The
models of lm-eval itself give plain pairs and strings: what cannot be known from those is then absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

TOP = 10
"""Most probable tokens whose log-probabilities are kept; the published confidence is relative to their sum."""


class NextToken(NamedTuple):
    """What the model would say itself at the place where it is asked for a label."""

    text: str
    """The most probable token of the whole vocabulary, decoded."""
    top_log_probabilities: tuple[float, ...]
    """Of the `TOP` most probable tokens, in nats, the most probable first."""


class LogLikelihood(tuple[float, bool]):
    """lm-eval's pair (log-likelihood, whether each token is the most probable one), and what `NextToken` says.

    `next_token` is that of the first token of the continuation.
    """

    next_token: NextToken

    def __new__(cls, pair: Iterable[float | bool], next_token: NextToken | None = None) -> LogLikelihood:
        answer = super().__new__(cls, pair)
        if next_token is not None:  # unpickling sets it itself
            answer.next_token = next_token
        return answer


class GeneratedText(str):
    """A generated text with the tokens that it was generated in."""

    token_ends: tuple[int, ...]
    """Length of the text up to and including each token; the last one may reach beyond the text, which was cut."""
    token_log_likelihoods: tuple[float, ...]
    """Log-probability, in nats, of each token under the model's own distribution, whatever the sampling settings."""
    complete: bool | None = None
    """Whether it came to an end, not to the greatest number of tokens; None where that is not known."""

    def __new__(
        cls,
        text: str,
        token_ends: tuple[int, ...] = (),
        token_log_likelihoods: tuple[float, ...] = (),
        complete: bool | None = None,
    ) -> GeneratedText:
        generated = super().__new__(cls, text)
        generated.token_ends, generated.token_log_likelihoods = token_ends, token_log_likelihoods
        generated.complete = complete
        return generated
