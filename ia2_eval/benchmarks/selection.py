"""Which rows of a data set are the pool and which the evaluation set, as published with arXiv 2509.22621.

Every shuffle is numpy's `default_rng(42).permutation`, which is what `datasets.Dataset.shuffle(seed=42)` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ia2_eval.benchmarks.columns import Row

POOL_SIZE = 2000
EVALUATION_SIZE = 500
SEED = 42


class Rows(Protocol):
    """The rows of a data set."""

    def split(self, name: str) -> list[Row]:
        """Rows of one split of the hub."""

    def whole(self, split: str) -> list[Row]:
        """All rows of a data set whose only split on the hub is `split`."""


class Selected(NamedTuple):
    """Rows of the pool and of the evaluation set, and what was left out."""

    pool: list[Row]
    evaluation: list[Row]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelFilter:
    """Keeps the rows with some labels of column `label`: neutral and mixed sentences have no place among two labels."""

    labels: tuple[int, ...]

    def keep(self, rows: list[Row]) -> tuple[list[Row], str]:
        """The kept rows, and a note with the counts."""
        kept = [row for row in rows if row["label"] in self.labels]
        labels = " or ".join(str(label) for label in self.labels)
        return kept, f"kept {len(kept)} of {len(rows)} rows: those with label {labels}"


@dataclass(frozen=True)
class TwoSplits:
    """Pool from one split, evaluation set from another, each shuffled."""

    pool_split: str
    evaluation_split: str

    @property
    def splits(self) -> tuple[str, ...]:
        return (self.pool_split, self.evaluation_split)

    def select(self, rows: Rows) -> Selected:
        pool = shuffled(rows.split(self.pool_split))[:POOL_SIZE]
        return Selected(pool, shuffled(rows.split(self.evaluation_split))[:EVALUATION_SIZE])


@dataclass(frozen=True)
class OneSplit:
    """One shuffled split: the last 500 rows are the evaluation set, the others the pool."""

    only_split: str
    label_filter: LabelFilter | None = None
    """Applied after the shuffle."""
    shuffle_parts: bool = False
    """Whether the pool and the evaluation set are each shuffled once more."""

    @property
    def splits(self) -> tuple[str, ...]:
        return (self.only_split,)

    def select(self, rows: Rows) -> Selected:
        every = shuffled(rows.whole(self.only_split))
        notes: tuple[str, ...] = ()
        if self.label_filter:
            every, note = self.label_filter.keep(every)
            notes = (note,)
        pool, evaluation = every[:-EVALUATION_SIZE], every[-EVALUATION_SIZE:]
        if self.shuffle_parts:
            pool, evaluation = shuffled(pool), shuffled(evaluation)
        return Selected(pool[:POOL_SIZE], evaluation, notes)


@dataclass(frozen=True)
class EvaluationOnly:
    """A shuffled evaluation set and no pool: what was learned elsewhere is evaluated on it."""

    evaluation_split: str
    why: str
    """Why no training set is drawn from this benchmark."""
    label_filter: LabelFilter | None = None
    """Applied before the shuffle."""

    @property
    def splits(self) -> tuple[str, ...]:
        return (self.evaluation_split,)

    def select(self, rows: Rows) -> Selected:
        evaluation = rows.split(self.evaluation_split)
        notes: tuple[str, ...] = ()
        if self.label_filter:
            evaluation, note = self.label_filter.keep(evaluation)
            notes = (note,)
        return Selected([], shuffled(evaluation)[:EVALUATION_SIZE], notes)


def shuffled(rows: list[Row]) -> list[Row]:
    """`rows` in the order of `default_rng(42).permutation`."""
    return [rows[i] for i in np.random.default_rng(SEED).permutation(len(rows))]
