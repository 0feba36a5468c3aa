from __future__ import annotations

from typing import Any

import pytest

from ia2_eval.regression.answers import moved
from ia2_eval.scoring.model_answers import NextToken
from ia2_eval.scoring.samples import GenerationSample, LabelSample


def text(
    prediction: str = "#### 4", tokens: tuple[float, ...] | None = (-0.1, -0.2), **changes: Any
) -> GenerationSample:
    values: dict[str, Any] = {"prompt_sha256": "0", "confidence": 0.8, "correct": True, "gold": "#### 4"}
    return GenerationSample(prediction=prediction, token_log_likelihoods=tokens, **values | changes)


@pytest.mark.parametrize(
    ("after", "count"),
    [
        (text(), 0),
        (text(tokens=(-0.1, -0.2005)), 0),
        (text(tokens=(-0.1, -0.25)), 1),
        (text(tokens=(-0.1,)), 1),
        (text(tokens=(-0.1, float("nan"))), 1),
        (text("#### 5"), 1),
        (text(correct=False), 1),
        (text(confidence=None), 1),
        (text(confidence=0.7), 1),
        (text(tokens=(-0.1, -0.2005), confidence=0.8009), 0),  # two tokens move by up to 0.0005 each
        (text(tokens=(-0.1, -0.2005), confidence=0.802), 1),
    ],
)
def test_generated_answers(after: GenerationSample, count: int) -> None:
    assert moved((text(),), (after,), 0.001).moved == count


def test_where_bits_must_be_equal_the_whole_row_counts() -> None:
    assert moved((text(),), (text(agreement=0.5),), 0.0).moved == 1
    row = LabelSample(
        prompt_sha256="0",
        prediction="0",
        confidence=0.9,
        correct=True,
        correct_full_vocab=True,
        log_likelihoods=(-0.1, -2.3),
        gold="0",
        next_token=None,
    )
    for tolerance in (0.0, 0.01):
        assert moved((row,), (row.model_copy(update={"correct_full_vocab": False}),), tolerance).moved == 1
    said = row.model_copy(update={"next_token": NextToken("0", (-0.1,))})
    assert moved((row,), (said,), 0.0).moved == 0  # a reference does not keep it


def test_texts_whose_tokens_are_not_known_are_compared_as_texts() -> None:
    assert moved((text(tokens=None),), (text(tokens=None),), 0.0).moved == 0


def test_what_is_said() -> None:
    assert str(moved((text(), text()), (text(), text(tokens=(-0.1, -0.5))), 0.1)) == (
        "1 of 2 answers differ (0 predictions, log-likelihoods by up to 0.3 nats)"
    )
    assert str(moved((text(),), (text("#### 5"),), 0.1)) == "1 of 1 answers differ (1 predictions)"
