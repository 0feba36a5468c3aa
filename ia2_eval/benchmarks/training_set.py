"""D_T(N, seed) of arXiv 2509.22621, section 4: N training examples, their development set, their demonstrations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ia2_eval.benchmarks.benchmark import BenchmarkData, Example
from ia2_eval.benchmarks.registry import sources_of
from ia2_eval.benchmarks.selection import EvaluationOnly
from ia2_eval.errors import UserError
from ia2_eval.protocol import Protocol

DEV_SIZE = 48
"""Development examples at most."""


@dataclass(frozen=True)
class TrainingSet:
    """D_T(N, seed): N training examples, the development set next to them, and the demonstrations of each.

    The sets of one seed are nested: D_T(N, seed) is the first half of D_T(2N, seed).
    """

    n: int
    seed: int
    train: tuple[Example, ...]
    """The N training examples, in the order they were drawn."""
    dev: tuple[Example, ...]
    """min(48, N // 2) more labelled examples, by which training stops."""
    train_indices: tuple[int, ...]
    """Places of `train` in the pool."""
    dev_indices: tuple[int, ...]
    """Places of `dev` in the pool."""
    remaining_indices: tuple[int, ...]
    """Places of the rest of the pool, in the order they were drawn."""
    demonstration_order: tuple[tuple[int, ...], ...]
    """For each training example the places in `train` of the other N - 1, in a random order."""

    @property
    def demonstrations(self) -> tuple[Example, ...]:
        """What in-context learning is shown: the N training examples in the order they were drawn."""
        return self.train

    def train_demonstrations(self, i: int) -> tuple[Example, ...]:
        """Leave-one-out demonstrations of training example `i`: the other N - 1."""
        return tuple(self.train[place] for place in self.demonstration_order[i])

    def dev_demonstrations(self, j: int, protocol: Protocol) -> tuple[Example, ...]:
        """Demonstrations of development example `j`.

        Under `strict` the N training examples; under `paper` the N - 1 of training example `j`, as published.
        """
        return self.train_demonstrations(j) if protocol == "paper" else self.train


def draw_training_set(data: BenchmarkData, n: int, seed: int) -> TrainingSet:
    """D_T(n, seed) from the pool, by the draws of the published code.

    numpy's legacy generator shuffles the places of the pool; the first `n` are the training examples, the next
    min(48, n // 2) the development set; the same stream then shuffles the other n - 1 for each training example.
    (The published code shows at most 256 demonstrations, which no N of the paper reaches; here there is no such cap.)

    Raises:
        UserError: the benchmark only evaluates, `n` is below 2, or the pool is too small.
    """
    _refuse_evaluation_only(data)
    if n < 2:
        raise UserError(
            f"N is {n}, but a training set needs at least 2 examples: each is shown the others as demonstrations."
        )
    dev_size = min(DEV_SIZE, n // 2)
    if n + dev_size > len(data.pool):
        raise UserError(
            f"{data.benchmark.name} has {len(data.pool)} examples in its pool, but N={n} needs {n + dev_size}: "
            f"{n} to train on and {dev_size} for development. Choose a smaller N or give more data."
        )
    random = np.random.RandomState(seed)
    places = shuffled_places(random, len(data.pool))
    train, dev, remaining = places[:n], places[n : n + dev_size], places[n + dev_size :]
    orders = []
    for i in range(n):
        others = [place for place in range(n) if place != i]
        random.shuffle(others)
        orders.append(tuple(others))
    return TrainingSet(
        n=n,
        seed=seed,
        train=tuple(data.pool[place] for place in train),
        dev=tuple(data.pool[place] for place in dev),
        train_indices=tuple(train),
        dev_indices=tuple(dev),
        remaining_indices=tuple(remaining),
        demonstration_order=tuple(orders),
    )


def draw_order(data: BenchmarkData, seed: int) -> tuple[Example, ...]:
    """The whole pool in the order of draws: its first N are the training examples of D_T(N, seed), for every N.

    Raises:
        UserError: the benchmark only evaluates.
    """
    _refuse_evaluation_only(data)
    return tuple(data.pool[place] for place in shuffled_places(np.random.RandomState(seed), len(data.pool)))


def per_query_demonstrations(data: BenchmarkData, training_set: TrainingSet, count: int) -> list[tuple[Example, ...]]:
    """Published in-context learning: for each of `count` queries N - 1 demonstrations that no training ever sees.

    They are drawn afresh for every query, without replacement, from what D_T and its development set leave of the pool.

    Raises:
        UserError: fewer than N - 1 examples are left.
    """
    remaining, size = training_set.remaining_indices, training_set.n - 1
    if len(remaining) < size:
        raise UserError(
            f"{data.benchmark.name} has {len(remaining)} examples left in its pool beside D_T({training_set.n}, "
            f"{training_set.seed}) and its development set, but a query needs {size} demonstrations. "
            f"Choose a smaller N or give more data."
        )
    random = np.random.RandomState(training_set.seed)
    draws = [random.choice(len(remaining), size, replace=False) for _ in range(count)]
    return [tuple(data.pool[remaining[i]] for i in draw) for draw in draws]


def with_demonstrations(demonstrations: tuple[Example, ...], prompt: str) -> str:
    """The demonstrations, then the prompt, each set off by a blank line; the prompt alone when there are none."""
    return "\n\n".join([*(example.text for example in demonstrations), prompt])


def shuffled_places(random: np.random.RandomState, count: int) -> list[int]:
    """0 .. count - 1, shuffled in place by `random`."""
    places = list(range(count))
    random.shuffle(places)
    return places


def _refuse_evaluation_only(data: BenchmarkData) -> None:
    benchmark = data.benchmark
    if isinstance(benchmark.selection, EvaluationOnly):
        sources = sources_of(benchmark.name)
        raise UserError(
            f"No training set is drawn from {benchmark.name}: {benchmark.selection.why}. "
            f"Train on {' or '.join(sources)} and evaluate on {benchmark.name} as out of distribution."
        )
