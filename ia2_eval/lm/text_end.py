"""Where a generated text ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from lm_eval.models.utils import postprocess_generated_text

ScoredEnd = Callable[[str], int | None]
"""Where a text may end because nothing after it is scored: at a newline; None while it must go on."""

MARGIN = 8
"""Tokens before a stop string that are decoded with it: the first of a decoded part may look otherwise."""


class TextEnd:
    """Ends a text at an end token, at a stop string, or where its score is decided, whichever comes first."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stop_ids: Collection[int],
        until: list[str],
        scored_end: ScoredEnd | None = None,
    ) -> None:
        self._decode, self._stop_ids, self._until, self._scored_end = decode, stop_ids, until, scored_end
        self._tail = MARGIN + max((len(stop.encode()) for stop in until), default=0)  # a token has a byte at least

    def reached(self, token_ids: Sequence[int]) -> bool:
        """Whether the last token ends the text. To be asked after every token: what is before is not looked at."""
        if token_ids[-1] in self._stop_ids:
            return True
        tail = self._decode(token_ids[-self._tail :])
        if any(stop in tail for stop in self._until):
            return True
        added = tail[len(self._decode(token_ids[-self._tail : -1])) :]
        if self._scored_end is None or "\n" not in added:
            return False
        return self._scored_end(self._decode(token_ids)) is not None

    def token_ends(self, token_ids: Sequence[int]) -> tuple[int, ...]:
        """Length of the text up to and including each token. A character counts to the token that completes it."""
        ends, length = [], 0
        for count in range(1, len(token_ids) + 1):
            # A few tokens before the new one are decoded with it: the first of a part may look otherwise.
            start = max(0, count - MARGIN)
            with_it, without = (self._complete(token_ids[start:stop]) for stop in (count, count - 1))
            length += len(with_it) - len(without)
            ends.append(length)
        return tuple(ends)

    def _complete(self, token_ids: Sequence[int]) -> str:
        """The decoded tokens without the bytes at their end that no character has come of yet."""
        return self._decode(token_ids).rstrip("\ufffd")

    def cut(self, text: str, think_end_token: str | None = None) -> str:
        """The text up to its end; if the model thinks aloud, what follows the token that ends this."""
        cut: str = postprocess_generated_text(text, self._until, think_end_token)
        return cut[: None if self._scored_end is None else self._scored_end(cut)]
