"""Queries that must not be chosen from, or scored on, whatever their case and blanks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ia2_eval.mtbench.prompts.prompt_set import Demonstration

_DIGITS = 16  # hexadecimal, of sha256: 64 bits, more than enough for some thousand texts


def turn_key(query: str) -> str:
    """The same for texts that differ in case and blanks only."""
    return hashlib.sha256(" ".join(query.casefold().split()).encode()).hexdigest()[:_DIGITS]


def keys_of(demonstrations: Iterable[Demonstration]) -> frozenset[str]:
    """Of all their queries."""
    return frozenset(turn_key(turn.query) for demonstration in demonstrations for turn in demonstration.turns)


@cache
def mt_bench_keys() -> frozenset[str]:
    """Of all 160 turns of MT-Bench: none is overlooked where its questions are not at hand."""
    return frozenset((Path(__file__).parent / "mt_bench_turns.txt").read_text(encoding="ascii").split())
