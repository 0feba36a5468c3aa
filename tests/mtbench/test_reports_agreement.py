from math import sqrt

import pytest
from report_rows import rated

from ia2_eval.mtbench.reports.agreement import agreement
from ia2_eval.mtbench.reports.scores import scores

A = [1, 2, 3, 4]
B = [1, 3, 2, 6]


def test_by_hand() -> None:
    rows = [rated(i, 1, score, judge="A") for i, score in enumerate(A)]
    rows += [rated(i, 1, score, judge="B") for i, score in enumerate(B)]
    rows += [rated(9, 1, 5, judge="A"), rated(8, 1, -1, judge="A"), rated(8, 1, 7, judge="B")]  # not rated by both
    (found,) = agreement(scores(rows, {}), "A", "B")
    assert (found.model, found.n) == (None, 4)
    assert found.exact == 1 / 4 and found.within_one == 3 / 4
    assert found.pearson == pytest.approx(7 / sqrt(5 * 14))
    assert found.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.kendall == pytest.approx((5 - 1) / 6)  # one of six pairs is in another order
    assert found.kendall_models is None
    assert found.shift.value == pytest.approx(2 / 4)
    assert found.shift.lower <= 0.5 <= found.shift.upper and found.shift.questions == 4


def test_ties_are_tau_b() -> None:
    rows = [rated(i, 1, score, judge="A") for i, score in enumerate([1, 1, 2])]
    rows += [rated(i, 1, score, judge="B") for i, score in enumerate([1, 2, 3])]
    (found,) = agreement(scores(rows, {}), "A", "B")
    assert found.kendall == pytest.approx(2 / sqrt(2 * 3))


def test_a_point_apart_is_within_one_though_means_are_rounded() -> None:
    rows = [rated(1, 1, score, judge="A", repeat=r) for r, score in enumerate((1, 1, 2))]
    rows += [rated(1, 1, score, judge="B", repeat=r) for r, score in enumerate((2, 2, 3))]
    (found,) = agreement(scores(rows, {}), "A", "B")
    assert found.shift.value > 1 and found.within_one == 1


def test_models_and_repeats() -> None:
    rows = []
    for model, a, b in (("x", 4, 5), ("y", 6, 9), ("z", 8, 7)):
        rows += [rated(1, turn, a, model=model, judge="A") for turn in (1, 2)]
        rows += [rated(1, turn, b - 1 + 2 * r, model=model, judge="B", repeat=r) for turn in (1, 2) for r in (0, 1)]
    every, *each = agreement(scores(rows, {}), "A", "B")
    assert every.n == 6 and every.kendall_models == pytest.approx(1 / 3)
    assert {found.model: found.shift.value for found in each} == {"x": 1, "y": 3, "z": -1}
    assert all(found.pearson is None and found.kendall is None for found in each)  # all the same


def test_no_answer_in_common() -> None:
    assert agreement(scores([rated(1, 1, 5, judge="A"), rated(2, 1, 5, judge="B")], {}), "A", "B") == ()
