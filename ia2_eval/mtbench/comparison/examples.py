"""Which examples every arm of a comparison gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ia2_eval.errors import UserError
from ia2_eval.mtbench.comparison.recipe import ComparisonRecipe
from ia2_eval.mtbench.prompts.examples import EMBEDDED, load_examples
from ia2_eval.mtbench.prompts.overlap import keys_of, refuse_questions
from ia2_eval.mtbench.prompts.prompt_set import Demonstration
from ia2_eval.mtbench.questions import Question

_KEPT_BACK = 0
"""Seed of what is kept back from all draws, so that it is the same for each."""


@dataclass(frozen=True)
class Examples:
    """A pool and what is kept back from it; no query of the pool is in the others, no first query is there twice."""

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


def draw_examples(
    recipe: ComparisonRecipe,
    beside: Path,
    data_dir: Path | None,
    questions: Sequence[Question],
    say: Callable[[str], None],
) -> Examples:
    """The examples of a recipe. What is kept back of synthetic data is of their test split.

    Args:
        recipe: which data, and how much of them is kept back.
        beside: directory of the recipe, where its path is looked for first.
        data_dir: where it is looked for next; None for `IA2_DATA_DIR`.
        questions: that no example may ask, besides MT-Bench's.
        say: told of rows that are left out.

    Raises:
        UserError: there are no such data, too few, or they ask what models are evaluated on.
    """
    sources = [f"{recipe.data}/{split}" for split in ("train", "test")] if recipe.data.startswith(EMBEDDED) else []
    read = [
        tuple(load_examples(source, beside, data_dir, on_unusable=say).values()) for source in sources or [recipe.data]
    ]
    pool, apart = read[0], read[-1]
    refuse_questions((row for part in read for row in part), questions)
    wanted = recipe.training.dev + recipe.held_out
    kept_back = [apart[place] for place in np.random.default_rng(_KEPT_BACK).permutation(len(apart))[:wanted]]
    asked = keys_of(kept_back)
    left = tuple(each for each in pool if not keys_of([each]) & asked)
    if len(left) < recipe.most or len(kept_back) < wanted:
        raise UserError(
            f"{recipe.data} has {sum(map(len, read))} examples; N = {recipe.most}, dev = {recipe.training.dev} and "
            f"held_out = {recipe.held_out} need {recipe.most + wanted} that share no "
            "query: choose less, or another pool"
        )
    return Examples(left, tuple(kept_back[: recipe.training.dev]), tuple(kept_back[recipe.training.dev :]))
