"""What a round of the demonstration search costs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ia2_eval.errors import UserError
from ia2_eval.mtbench.search.schedule import LEAST_ITEMS, Rung, exhaustive, pairs, racing


def test_an_exhaustive_round_is_one_block() -> None:
    assert exhaustive(5, 7) == (Rung(5, 7, 1),)
    assert pairs(exhaustive(5, 7)) == 35


def test_the_least_budget_by_hand() -> None:
    # 8, 4 and 2 candidates: four items for 8, four for 4, and the other 12 of 20 for the last 2.
    assert racing(8, 20, budget=32 + 16 + 24) == (Rung(8, 4, 4), Rung(4, 4, 2), Rung(2, 12, 1))
    with pytest.raises(UserError, match=r"budget 71 is not enough .* needs 72 pairs or more, with 4 items .* 160"):
        racing(8, 20, budget=71)


def test_about_equal_blocks_by_hand() -> None:
    # 9 items each for 8, 4 and 2 candidates; what is rounded off goes to the last block.
    assert racing(8, 27, budget=9 * 14) == (Rung(8, 9, 4), Rung(4, 8, 2), Rung(2, 10, 1))


def test_another_eta_keeps_fewer() -> None:
    assert [(rung.candidates, rung.keep) for rung in racing(10, 30, eta=3)] == [(10, 4), (4, 2), (2, 1)]


def test_few_candidates_need_no_race() -> None:
    assert racing(2, 5) == exhaustive(2, 5)
    assert racing(1, 5) == exhaustive(1, 5)


def test_few_items_make_fewer_blocks() -> None:
    """Nobody is dropped on fewer than four items."""
    assert racing(6, 8) == (Rung(6, 4, 3), Rung(3, 4, 1))
    assert racing(16, 15) == (Rung(16, 4, 8), Rung(8, 4, 4), Rung(4, 7, 1))
    assert racing(16, 7) == exhaustive(16, 7)
    assert racing(16, 3) == exhaustive(16, 3)


@given(st.integers(1, 150), st.integers(1, 200), st.integers(2, 5), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_every_budget_is_kept_and_every_item_used(candidates: int, items: int, eta: int, share: float) -> None:
    usual = racing(candidates, items, eta)
    all_pairs = pairs(exhaustive(candidates, items))
    budget = pairs(usual) + int(share * (all_pairs - pairs(usual)))
    for schedule in (usual, racing(candidates, items, eta, budget)):
        assert sum(rung.items for rung in schedule) == items
        assert all(rung.items >= min(LEAST_ITEMS, items) for rung in schedule)
        assert [rung.candidates for rung in schedule[1:]] == [rung.keep for rung in schedule[:-1]]
        assert schedule[0].candidates == candidates and schedule[-1].keep == 1
        assert pairs(schedule) <= budget
    later = [rung.candidates for rung in usual[1:]]
    most = candidates * (items - LEAST_ITEMS * len(later)) + LEAST_ITEMS * sum(later)
    assert pairs(racing(candidates, items, eta, budget)) >= min(budget, most) - candidates - sum(later)
