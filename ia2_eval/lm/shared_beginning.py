"""Tokenises texts that begin alike in the time of their ends: the common beginning is tokenised once.

A tokenizer with a pre-tokenizer cuts a text into pieces from left to right and tokenises each for itself, so behind a
cut its tokens depend on what is behind the cut only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Encode = Callable[[str], list[int]]

SHORTEST = 256
"""Characters that must be common before it is worth the trouble."""
MARGIN = 32
"""Characters of the common text behind the cut, at least."""
WORDS = re.compile(r".*(?=[a-zA-Z] [a-zA-Z])", re.DOTALL)
"""Up to where a word last ends and another begins. That far, where a tokenizer cuts, and what its normaliser composes,
is decided: no run of spaces, digits or combining marks goes on behind it, which some look at to the end."""


@dataclass(frozen=True)
class SharedBeginning:
    """The beginning of some texts, up to a place where the tokenizer cuts all of them."""

    text: str
    token_ids: tuple[int, ...]
    """With the special tokens that the tokenizer puts first."""

    @classmethod
    def of(
        cls, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, encode: Encode, encode_inside: Encode
    ) -> SharedBeginning | None:
        """The beginning of all texts; None if it is short, or if the tokenizer is not one that cuts.

        Args:
            texts: at least one.
            tokenizer: theirs.
            encode: tokenises a whole text.
            encode_inside: tokenises a part, without special tokens.
        """
        first, last = min(texts), max(texts)
        common = first[: common_length(first, last)]
        if len(common) < SHORTEST:
            return None
        cut = _last_cut(common, tokenizer)
        if not cut:
            return None
        whole, end = encode(first), encode_inside(first[cut:])
        beginning = cls(common[:cut], tuple(whole[: len(whole) - len(end)]))
        # Whether this is a tokenizer that treats parts as described; the two texts differ as early as any two.
        fits = all([*beginning.token_ids, *encode_inside(text[cut:])] == encode(text) for text in (first, last))
        return beginning if fits else None


def common_length(first: Sequence[Hashable], last: Sequence[Hashable]) -> int:
    """How many items two sequences begin with alike; of the least and the greatest of many, all of those."""
    differ = (place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])
    return next(differ, min(len(first), len(last)))


def _last_cut(common: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """Where the tokenizer cuts last, whatever follows the common text; 0 where that is not known."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.pre_tokenizer is None:
        return 0
    if backend.normalizer is not None and backend.normalizer.normalize_str(common) != common:
        return 0
    decided = WORDS.match(common)
    if decided is None:
        return 0
    margin = max([MARGIN, *map(len, tokenizer.get_added_vocab())])  # added tokens are found before anything is cut
    last = min(decided.end(), len(common) - margin)
    pieces = backend.pre_tokenizer.pre_tokenize_str(common)
    return max((start for _, (start, _) in pieces if start <= last), default=0)
