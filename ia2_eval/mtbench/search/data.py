"""The pool, the dev set and the held-out set of a search."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.examples import load_examples
from ia2_eval.mtbench.prompts.overlap import FAULTS_SHOWN, keys_of
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, Turn, first_line
from ia2_eval.mtbench.search.recipe import SearchRecipe

JUDGED_TURNS = 2
"""Turns of a conversation that a judge is shown at most."""


@dataclass(frozen=True)
class DevItem:
    """A conversation that prompt sets are scored on, with reference answers."""

    row: int
    """Its place among the usable rows of its source, from 1."""
    turns: tuple[Turn, ...]

    @property
    def queries(self) -> tuple[str, ...]:
        return tuple(turn.query for turn in self.turns)


@dataclass(frozen=True)
class SearchData:
    """No query of the pool is in the other two sets or the starting set, no first query of one of those in another."""

    pool: Mapping[int, Demonstration]
    """By place among the usable rows of its source, from 1."""
    dev: tuple[DevItem, ...]
    held_out: tuple[DevItem, ...]
    unusable: tuple[str, ...] = ()
    """Rows of the sources that cannot be demonstrations, and why."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of each set."""
        pool = [[row, demonstration.model_dump(mode="json")] for row, demonstration in self.pool.items()]
        return {"pool": _sha256(pool), "dev": _sha256(_plain(self.dev)), "held_out": _sha256(_plain(self.held_out))}


def draw_data(
    recipe: SearchRecipe, beside: Path, data_dir: Path | None, start: PromptSet, evaluated: frozenset[str]
) -> SearchData:
    """Draw the sets that a recipe asks for.

    Args:
        recipe: of the search.
        beside: directory of the recipe, where its paths are looked for first.
        data_dir: where they are looked for next; None for the directory in `IA2_DATA_DIR`, if any.
        start: the starting set, whose queries are neither tried nor scored on.
        evaluated: keys of the queries that models are evaluated on, which are refused.

    Raises:
        UserError: no such source, too few rows, or queries that models are evaluated on or that are in two of the sets.
    """
    unusable: list[str] = []
    rows = load_examples(recipe.pool.path, beside, data_dir, start.headings, unusable.append)
    if len(rows) < (recipe.pool.limit or 1):
        raise UserError(f"pool.limit is {recipe.pool.limit}, but {recipe.pool.path} has {len(rows)} usable rows")
    pool = _drawn(rows, recipe.pool.limit or len(rows), recipe.pool.seed)
    in_pool = keys_of(pool.values())
    if recipe.dev.path == recipe.pool.path:
        rows = {row: demonstration for row, demonstration in rows.items() if not keys_of([demonstration]) & in_pool}
    else:
        rows = load_examples(recipe.dev.path, beside, data_dir, start.headings, unusable.append)
    if recipe.scorer.kind == "judge":
        rows = {row: demonstration for row, demonstration in rows.items() if len(demonstration.turns) <= JUDGED_TURNS}
    wanted = recipe.dev.size + recipe.held_out
    if len(rows) < wanted:
        raise UserError(
            f"{recipe.dev.path} has {len(rows)} usable rows besides the pool's; dev.size and held_out ask for {wanted}"
        )
    scored = _drawn(rows, wanted, recipe.seed)
    refused = {
        "what models are evaluated on": evaluated,
        "in the pool": in_pool,
        "in the starting set": keys_of(start.demonstrations),
    }
    faults = [
        *(
            fault
            for what in ("what models are evaluated on", "in the starting set")
            for fault in _faults(recipe.pool.path, pool, what, refused)
        ),
        *(fault for what in refused for fault in _faults(recipe.dev.path, scored, what, refused)),
    ]
    if faults:
        raise UserError("\n  ".join(["the search cannot use these rows; take them out:", *faults]))
    items = [DevItem(row, demonstration.turns) for row, demonstration in scored.items()]
    return SearchData(pool, tuple(items[: recipe.dev.size]), tuple(items[recipe.dev.size :]), tuple(unusable))


def _drawn(rows: dict[int, Demonstration], count: int, seed: int) -> dict[int, Demonstration]:
    """`count` of the rows in random order."""
    return {row: rows[row] for row in np.random.default_rng(seed).permutation(sorted(rows))[:count].tolist()}


def _faults(
    source: str, rows: Mapping[int, Demonstration], what: str, refused: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    found = [first_line(row) for row in rows.values() if keys_of([row]) & refused[what]]
    for line in found[:FAULTS_SHOWN]:
        yield f"{source}: {line!r} is {what}"
    if len(found) > FAULTS_SHOWN:
        yield f"{source}: {len(found) - FAULTS_SHOWN} more are {what}"


def _plain(items: Sequence[DevItem]) -> list[object]:
    return [[item.row, [turn.model_dump(mode="json") for turn in item.turns]] for item in items]


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
