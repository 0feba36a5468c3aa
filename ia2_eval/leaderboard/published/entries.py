"""Which published number stands beside one of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.published.read import UNTRAINED, PublishedResult

ALPHA = re.compile(r"_a\d+")
"""Of LoRA in the label of an adapter."""


class Place(NamedTuple):
    """What was measured, in our words."""

    base: str
    """Last part of the model's name."""
    adapter: str
    """Our label; "" without training."""
    variant: str
    N: int
    """0 of `no_icl`, which has none."""
    source: str
    """Title of the benchmark, as eval."""
    eval: str
    method: str


@dataclass(frozen=True)
class Entry:
    """One published number, which may stand in several tables."""

    result: PublishedResult
    tables: tuple[int, ...]


def published_entries(results: Iterable[PublishedResult]) -> Mapping[Place, Entry]:
    """By place; the same number in several tables is one entry.

    Raises:
        UserError: two tables tell different numbers for the same place.
    """
    found: dict[Place, Entry] = {}
    for result in results:
        adapter = "" if result.method in UNTRAINED else result.adapter
        size = 0 if result.method == "no_icl" else result.N
        place = Place(result.base, adapter, result.variant, size, result.source, result.eval, result.method)
        before = found.get(place)
        if before is None:
            found[place] = Entry(result, (result.table,))
            continue
        kept = _merged(before.result, result)
        if kept is None:
            where = " ".join(map(str, filter(None, place)))
            raise UserError(f"published/ia2.csv: tables {before.tables[0]} and {result.table} contradict in {where}")
        found[place] = Entry(kept, tuple(sorted({*before.tables, result.table})))
    return found


def entry_at(entries: Mapping[Place, Entry], place: Place) -> Entry | None:
    """The entry of a place; of an adapter whose alpha was not published, whatever ours is."""
    return entries.get(place) or entries.get(place._replace(adapter=ALPHA.sub("", place.adapter)))


def _merged(one: PublishedResult, other: PublishedResult) -> PublishedResult | None:
    """What both tell, each filling in what the other lacks; None where they differ."""
    known = {}
    for name in ("acc", "acc_std", "ece", "ece_std"):
        a, b = getattr(one, name), getattr(other, name)
        if None not in (a, b) and a != b:
            return None
        known[name] = b if a is None else a
    return one.model_copy(update=known)
