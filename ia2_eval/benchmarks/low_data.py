"""Low-data mode of arXiv 2509.22621's code: a few labelled demonstrations, and queries without labels to learn on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import factorial

import numpy as np

from ia2_eval.benchmarks.benchmark import BenchmarkData, Example
from ia2_eval.benchmarks.training_set import TrainingSet
from ia2_eval.errors import UserError


@dataclass(frozen=True)
class UnlabelledQuery:
    """A query, whose answer nobody reads, and the demonstrations that the teacher is shown before it."""

    prompt: str
    demonstrations: tuple[Example, ...]


def draw_low_data(
    data: BenchmarkData, training_set: TrainingSet, unlabelled: int, orders: int
) -> tuple[UnlabelledQuery, ...]:
    """The next M examples of the pool after D_T and its development set, each after the N training examples.

    A query comes once for each order of the demonstrations; the orders of a query are distinct, so there are
    min(K, N!) of them. They depend on the seed of D_T and the place of the query only: a larger M or K keeps what a
    smaller one has.

    Args:
        data: the pool that D_T was drawn from.
        training_set: D_T(N, seed).
        unlabelled: M.
        orders: K.

    Returns:
        M min(K, N!) queries, the orders of one next to each other.

    Raises:
        UserError: fewer than M examples are left.
    """
    remaining = training_set.remaining_indices
    if len(remaining) < unlabelled:
        raise UserError(
            f"{data.benchmark.name} has {len(remaining)} examples left in its pool beside D_T({training_set.n}, "
            f"{training_set.seed}) and its development set, but low_data asks for {unlabelled} unlabelled queries. "
            f"Choose fewer, or a smaller N."
        )
    count = min(orders, factorial(training_set.n))
    return tuple(
        UnlabelledQuery(data.pool[index].prompt, tuple(training_set.train[place] for place in order))
        for query, index in enumerate(remaining[:unlabelled])
        for order in islice(_distinct_orders(training_set.n, [training_set.seed, query]), count)
    )


def _distinct_orders(n: int, seed: list[int]) -> Iterator[tuple[int, ...]]:
    """Random orders of 0 .. n - 1, none twice; do not ask for more than n! of them."""
    random = np.random.default_rng(seed)
    seen: set[tuple[int, ...]] = set()
    while True:
        order = tuple(random.permutation(n).tolist())
        if order not in seen:
            seen.add(order)
            yield order
