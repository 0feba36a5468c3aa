import numpy as np
import pytest
from report_rows import rated

from ia2_eval.mtbench.reports.paired import optimism, paired_difference
from ia2_eval.mtbench.reports.scores import ModelScores, scores


def scored(model: str, ratings: dict[tuple[int, int], float]) -> ModelScores:
    return scores([rated(q, turn, score, model=model) for (q, turn), score in ratings.items()], {})[0]


def test_difference_over_what_both_have() -> None:
    a = scored("a", {(1, 1): 8, (1, 2): 7, (2, 1): 5, (2, 2): -1, (3, 1): 10})
    b = scored("b", {(1, 1): 6, (1, 2): 6, (2, 1): 6, (2, 2): 9})
    found = paired_difference(a, b)
    assert found is not None
    assert found.value == pytest.approx((2 + 1 - 1) / 3) and (found.n, found.questions) == (3, 2)
    assert (found.lower, found.upper) == (-1, 1.5)  # both draws of question 2, of question 1
    first = paired_difference(a, b, turn=1)
    assert first is not None and first.value == 0.5
    assert paired_difference(a, b, questions=frozenset({3})) is None


def test_how_hard_a_question_is_cancels_out() -> None:
    hard = {(q, 1): 1 + q % 9 for q in range(60)}
    a, b = scored("a", {at: score + 0.5 for at, score in hard.items()}), scored("b", hard)
    found = paired_difference(a, b)
    assert found is not None and found[:3] == (0.5, 0.5, 0.5) and found.excludes_zero
    assert a.average is not None and a.average.upper - a.average.lower > 1


def test_samples_of_a_turn_count_once() -> None:
    a = scores([rated(1, 1, 4, sample=0), rated(1, 1, 8, sample=1), rated(2, 1, 3)], {})[0]
    b = scored("b", {(1, 1): 5, (2, 1): 5})
    found = paired_difference(a, b)
    assert found is not None and found.value == pytest.approx((1 - 2) / 2)


def test_optimism_equals_an_obvious_loop() -> None:
    rng = np.random.default_rng(3)
    ratings = rng.integers(1, 11, size=(4, 12)).astype(float)  # [model, question]
    models = [scored(str(k), {(q, 1): row[q] for q in range(12)}) for k, row in enumerate(ratings)]
    gains = []
    for _ in range(4000):
        drawn = ratings[:, rng.integers(12, size=12)].mean(axis=1)
        gains.append(drawn.max() - ratings[drawn.argmax()].mean())
    found = optimism(models)
    assert found is not None and found == pytest.approx(np.mean(gains), abs=0.04)
    assert found > 0.1


def test_nothing_to_choose_from() -> None:
    one = scored("a", {(1, 1): 5, (2, 1): 6})
    assert optimism([one]) is None
    assert optimism([scored("a", {(1, 1): 5}), scored("b", {(1, 1): 6})]) is None  # one question
    few, enough = ([scored(m, {(q, 1): 5 + q % k for q in range(n)}) for m, k in (("a", 2), ("b", 3))] for n in (4, 5))
    assert optimism(few) is None and optimism(enough) is not None
    ahead = [scored("a", {(q, 1): 9 + q % 2 for q in range(20)}), scored("b", {(q, 1): 1 for q in range(20)})]
    assert optimism(ahead) == pytest.approx(0, abs=0.02)  # the choice is never in doubt
