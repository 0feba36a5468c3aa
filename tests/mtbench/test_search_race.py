"""Racing finds what an exhaustive round finds, from fewer scores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ia2_eval.mtbench.search.race import Score, compared, race
from ia2_eval.mtbench.search.schedule import Schedule, exhaustive, pairs, racing


class Table:
    """A synthetic scorer: a score for each candidate and item, and what was asked for."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores
        self.asked: list[tuple[int, int]] = []

    def __call__(self, candidate: int, block: range) -> Sequence[float | None]:
        self.asked += [(candidate, item) for item in block]
        return [None if np.isnan(score) else float(score) for score in self.scores[candidate, block.start : block.stop]]


def winner(schedule: Schedule, score: Score) -> int:
    return race(schedule, score)[0].candidate


def noisy(seed: int, candidates: int, items: int, gap: float) -> tuple[Table, int]:
    """Known means, the best by `gap` or more; noise of 1, and items that differ by 5 for all candidates alike."""
    rng = np.random.default_rng(seed)
    means, best = -np.abs(rng.normal(0, 0.5, candidates)), int(rng.integers(candidates))
    means[best] = gap
    noise = rng.normal(0, 1, (candidates, items))
    return Table(means[:, None] + rng.normal(0, 5, items) + noise), best


def test_exhaustive_orders_by_the_mean() -> None:
    scores = np.random.default_rng(0).normal(size=(12, 9))
    found = race(exhaustive(12, 9), Table(scores))
    assert [standing.candidate for standing in found] == np.argsort(-scores.mean(axis=1)).tolist()
    assert [standing.items for standing in found] == [9] * 12


def test_racing_by_hand() -> None:
    first, then = [[1.0] * 4, [3.0] * 4, [0.0] * 4, [2.0] * 4], [[1.0] * 5, [0.0] * 5, [9.0] * 5, [2.0] * 5]
    table = Table(np.hstack([first, then]))
    found = race(racing(4, 9, budget=4 * 4 + 2 * 5), table)  # 4 candidates on four items, then the better 2 on the rest
    assert [standing.candidate for standing in found] == [3, 1, 0, 2]
    assert [standing.items for standing in found] == [9, 9, 4, 4]
    assert table.asked == [*itertools.product(range(4), range(4)), *itertools.product((1, 3), range(4, 9))]


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(7, 40), st.integers(2, 4))
@settings(max_examples=100, deadline=None)
def test_without_noise_the_winner_is_always_the_same(seed: int, candidates: int, items: int, eta: int) -> None:
    rng = np.random.default_rng(seed)
    means = rng.integers(0, 10, candidates).astype(float)  # some are equal: the first of them wins
    scores = means[:, None] + rng.integers(-50, 50, items)
    best = int(np.argmax(means))
    schedule = racing(candidates, items, eta)
    assert winner(schedule, Table(scores)) == winner(exhaustive(candidates, items), Table(scores)) == best


def test_with_noise_the_best_is_found_from_a_quarter_of_the_scores() -> None:
    found = {"racing": 0, "exhaustive": 0}
    schedules = {"racing": racing(32, 64), "exhaustive": exhaustive(32, 64)}
    for seed in range(100):
        for name, schedule in schedules.items():
            table, best = noisy(seed, 32, 64, gap=0.5)
            found[name] += winner(schedule, table) == best
            assert len(table.asked) == len(set(table.asked)) == pairs(schedule)
    assert found["exhaustive"] >= 98
    assert found["racing"] >= 93
    assert pairs(schedules["racing"]) <= 0.25 * pairs(schedules["exhaustive"])


def test_a_score_that_is_missing_counts_for_nobody() -> None:
    nan = np.nan
    # On the items that both have, the second beats the first by 1; the first one's mean is higher for its easy item.
    scores = np.array([[1.0, 1, 1, 9], [2.0, 2, 2, nan]])
    assert winner(exhaustive(2, 4), Table(scores)) == 1
    # Nothing can be said of one that has no item in common with the leader.
    assert compared(np.array([[nan, 5.0], [4.0, nan], [nan, 1.0]])) == [0, 2, 1]
    assert compared(np.array([[nan, nan], [1.0, 2.0]])) == [1, 0]


def test_of_equals_the_first_in_the_pool_wins_whatever_came_before() -> None:
    scores = np.array([[1.0, 3], [2.0, 2], [0, 0], [0, 0]])  # the second leads after a block, both are equal in the end
    scores = scores.repeat(4, axis=1)
    assert len(racing(4, 8)) == 2
    assert winner(racing(4, 8), Table(scores)) == winner(exhaustive(4, 8), Table(scores)) == 0


def test_scores_in_the_wrong_number_are_noticed() -> None:
    with pytest.raises(ValueError, match="could not broadcast"):
        race(exhaustive(2, 3), lambda candidate, block: [1.0, 2.0])
