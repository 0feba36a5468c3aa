"""Where a generated text ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate

from lm_eval.models.utils import postprocess_generated_text

ScoredEnd = Callable[[str], int | None]
"""Where a text may end because nothing after it is scored: at a newline; None while it must go on."""

MARGIN = 8
"""Tokens before a stop string that are decoded with it: the first of a decoded part may look otherwise."""

INCOMPLETE = "\ufffd"
"""What bytes are decoded to that are no character yet."""


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
        ends: list[int] = []
        length, start, read = 0, 0, 0
        for count in range(1, len(token_ids) + 1):
            # Decoded behind what came last, for the first of a decoded part may look otherwise; and from where a
            # character begins, for bytes in a row may all be shown as no characters if those at either end are none.
            before, now = self._decode(token_ids[start:read]), self._decode(token_ids[start:count])
            ends.append(length + len(now.rstrip(INCOMPLETE)) - len(before))
            if len(now) > len(before) and not now.endswith(INCOMPLETE):
                length, start, read = ends[-1], read, count
        return tuple(accumulate(ends, max))

    def cut(self, text: str, think_end_token: str | None = None) -> str:
        """The text up to its end; if the model thinks aloud, what follows the token that ends this."""
        cut: str = postprocess_generated_text(text, self._until, think_end_token)
        return cut[: None if self._scored_end is None else self._scored_end(cut)]
