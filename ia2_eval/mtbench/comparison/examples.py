"""Which examples every arm of a comparison gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ia2_eval.benchmarks.load import data_directory
from ia2_eval.embedded.datasets import DATASETS
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.comparison.recipe import ComparisonRecipe
from ia2_eval.mtbench.prompts.pools import load_pool, refuse_questions
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Turn
from ia2_eval.mtbench.questions import Question

EMBEDDED = "embedded:"
_KEPT_BACK = 0
"""Seed of what is kept back from all draws, so that it is the same for each."""


@dataclass(frozen=True)
class Examples:
    """A pool and what is kept back from it."""

    pool: tuple[Demonstration, ...]
    dev: tuple[Demonstration, ...]
    """Decide which weights are kept, in every trained arm alike."""
    held_out: tuple[Demonstration, ...]
    """Their answers' likelihood is measured."""

    def drawn(self, seed: int, n: int) -> tuple[Demonstration, ...]:
        """The N examples of a seed: the first N of one permutation, so that those of a smaller N are among them."""
        order = np.random.default_rng(seed).permutation(len(self.pool))
        return tuple(self.pool[place] for place in order[:n])

    @property
    def sha256(self) -> str:
        parts = [[each.model_dump(mode="json") for each in part] for part in (self.pool, self.dev, self.held_out)]
        return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def load_examples(
    recipe: ComparisonRecipe, data_dir: Path | None, questions: Sequence[Question], say: Callable[[str], None]
) -> Examples:
    """The examples of a recipe.

    Args:
        recipe: which data, and how much of them is kept back.
        data_dir: where a path that is not found as it is stands; None for `IA2_DATA_DIR`.
        questions: that no example may ask.
        say: told of rows that are left out.

    Raises:
        UserError: there are no such data, too few, or they ask what models are evaluated on.
    """
    pool, apart = _read(recipe.data, data_dir, say)
    refuse_questions(pool, questions)
    wanted = recipe.training.dev + recipe.held_out
    order = np.random.default_rng(_KEPT_BACK).permutation(len(apart or pool))
    kept_back = [(apart or pool)[place] for place in order[:wanted]]
    left = pool if apart else tuple(pool[place] for place in sorted(order[wanted:]))
    if len(left) < recipe.most or len(kept_back) < wanted:
        raise UserError(
            f"{recipe.data} has {len(pool) + len(apart)} examples; N = {recipe.most}, dev = {recipe.training.dev} and "
            f"held_out = {recipe.held_out} need {recipe.most + wanted}: choose less, or another pool"
        )
    return Examples(left, tuple(kept_back[: recipe.training.dev]), tuple(kept_back[recipe.training.dev :]))


def _read(
    name: str, data_dir: Path | None, say: Callable[[str], None]
) -> tuple[tuple[Demonstration, ...], tuple[Demonstration, ...]]:
    """The pool, and examples apart from it where the data have some."""
    if name.startswith(EMBEDDED):
        known = name.removeprefix(EMBEDDED)
        if known not in DATASETS:
            raise UserError(f"there are no data {name!r}.{did_you_mean(known, DATASETS)}")
        train, test = (tuple(map(_embedded, DATASETS[known].rows(split))) for split in ("train", "test"))
        return train, test
    local = data_directory(data_dir)
    path = Path(name)
    if not path.is_file() and local is not None and (local / name).is_file():
        path = local / name
    return load_pool(path, on_unusable=say), ()


def _embedded(row: dict[str, object]) -> Demonstration:
    query, answer = (row[key] for key in (("question", "answer") if "question" in row else ("text", "label")))
    return Demonstration(turns=(Turn(query=str(query), answer=str(answer).strip()),))
