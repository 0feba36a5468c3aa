from __future__ import annotations

import itertools

import pytest
from ia2_training import passes as passes_module
from ia2_training.passes import PASS_TOKENS, passes


def cost(cut: list[list[int]], lengths: list[int]) -> int:
    return sum(PASS_TOKENS + len(rows) * max(lengths[row] for row in rows) for rows in cut)


def every_cut(lengths: list[int]) -> list[list[list[int]]]:
    """All ways to cut the sorted rows."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    places = range(1, len(order))
    cuts = [c for count in range(len(order)) for c in itertools.combinations(places, count)]
    return [[order[a:b] for a, b in itertools.pairwise([0, *cut, len(order)])] for cut in cuts]


@pytest.mark.parametrize(
    "lengths",
    [[5], [30, 30, 30], [3, 200, 3, 200], [10, 20, 40, 80, 160, 320], [150, 8, 61, 46, 142, 62, 80, 90, 8], [1, 65]],
)
def test_no_cut_costs_less(lengths: list[int]) -> None:
    cut = passes(lengths)
    assert sorted(row for rows in cut for row in rows) == list(range(len(lengths)))
    assert cost(cut, lengths) == min(cost(other, lengths) for other in every_cut(lengths))


def test_bounded_rows() -> None:
    lengths = [150, 8, 61, 46, 142, 62, 80, 90, 8]
    for most in (1, 2, 4):
        cut = passes(lengths, most)
        assert max(map(len, cut)) <= most
        allowed = [other for other in every_cut(lengths) if max(map(len, other)) <= most]
        assert cost(cut, lengths) == min(cost(other, lengths) for other in allowed)


def test_bounded_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes_module, "MOST_TOKENS", 300)
    lengths = [150, 8, 61, 46, 142, 62, 80, 90, 400]

    def fits(rows: list[int]) -> bool:
        return len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= 300

    cut = passes(lengths)
    assert all(map(fits, cut))
    allowed = [other for other in every_cut(lengths) if all(map(fits, other))]
    assert cost(cut, lengths) == min(cost(other, lengths) for other in allowed)


def test_equal_lengths_stay_together_and_different_ones_part() -> None:
    assert passes([7] * 60) == [list(range(60))]
    short, long = passes_module.PASS_TOKENS // 4, passes_module.PASS_TOKENS * 4
    assert sorted(map(sorted, passes([short, long, short, long]))) == [[0, 2], [1, 3]]
    assert passes([]) == []
