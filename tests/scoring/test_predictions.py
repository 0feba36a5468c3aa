"""Predictions from label log-likelihoods, against hand computations."""

from __future__ import annotations

import math

import pytest

from ia2_eval.scoring.predictions import predict


def test_by_hand() -> None:
    # Raw probabilities 0.3, 0.1, 0.2 of the labels; over the label set 1/2, 1/6, 1/3.
    prediction = predict([math.log(0.3), math.log(0.1), math.log(0.2)], gold=2)
    assert prediction.label == 0
    assert prediction.correct is False
    assert prediction.confidence == pytest.approx(1 / 2)
    assert prediction.brier == pytest.approx(1 / 4 + 1 / 36 + 4 / 9)
    assert prediction.nll == pytest.approx(math.log(3))
    assert predict([math.log(0.3), math.log(0.1), math.log(0.2)], gold=0).correct is True


def test_a_tie_for_the_top_is_wrong_whichever_label_is_gold() -> None:
    assert [predict([-1.0, -1.0, -2.0], gold).correct for gold in range(3)] == [False] * 3
    assert predict([-2.0, -2.0, -1.0], gold=2).correct, "a tie below the top does not matter"


def test_large_and_infinite_scores() -> None:
    huge = predict([-10_000.0, -10_001.0], gold=0)
    assert huge.confidence == pytest.approx(1 / (1 + math.exp(-1)))
    assert huge.nll == pytest.approx(math.log1p(math.exp(-1)))
    impossible = predict([0.0, -math.inf], gold=1)
    assert (impossible.confidence, impossible.brier, impossible.nll) == (1.0, 2.0, math.inf)


@pytest.mark.parametrize(
    ("scores", "gold", "message"),
    [
        ([-1.0, math.nan], 0, "got .*nan"),
        ([-1.0, math.inf], 0, "got .*inf"),
        ([-math.inf, -math.inf], 0, "at least one finite"),
        ([], 0, "at least one finite"),
        ([-1.0, -2.0], 2, "index 2 is not among the 2 labels"),
        ([-1.0, -2.0], -1, "index -1"),
    ],
)
def test_what_is_no_distribution_is_refused(scores: list[float], gold: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(scores, gold)
