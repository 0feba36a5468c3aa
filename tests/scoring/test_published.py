"""The published measures, by hand."""

from __future__ import annotations

import math

import pytest

from ia2_eval.scoring.model_answers import NextToken
from ia2_eval.scoring.published import published_confidence, published_correct, published_entropy


def token(*probabilities: float, text: str = "1") -> NextToken:
    return NextToken(text, tuple(math.log(p) if p else -math.inf for p in probabilities))


@pytest.mark.parametrize(
    ("text", "right"), [("1", True), (" 1", True), ("1\n", True), ("11", False), ("", False), ("one", False)]
)
def test_the_decoded_and_stripped_token_is_the_label(text: str, right: bool) -> None:
    assert published_correct(token(0.5, text=text), "1") is right


def test_confidence_is_relative_to_the_most_probable_tokens() -> None:
    # 0.4 of 0.8; what is beyond the kept tokens does not count.
    assert published_confidence(token(0.4, 0.2, 0.1, 0.1)) == pytest.approx(0.5)
    assert published_confidence(token(0.3)) == 1.0
    assert published_confidence(NextToken("1", (-1000.0, -1000.0))) == pytest.approx(0.5), "no underflow"


def test_entropy_is_that_of_the_renormalised_tokens() -> None:
    # 1/2, 1/4, 1/8, 1/8: 1.75 bits.
    assert published_entropy(token(0.4, 0.2, 0.1, 0.1)) == pytest.approx(1.75 * math.log(2))
    assert published_entropy(token(*[0.05] * 10)) == pytest.approx(math.log(10))
    certain = published_entropy(token(1.0, 0.0, 0.0))
    assert certain == 0 and math.copysign(1, certain) == 1


@pytest.mark.parametrize("log_p", [(), (math.nan,), (-math.inf,), (-2.0, -1.0), (-1.0, math.nan), (math.inf,)])
def test_what_are_no_most_probable_tokens_is_refused(log_p: tuple[float, ...]) -> None:
    for measure in (published_confidence, published_entropy):
        with pytest.raises(ValueError, match="descending order"):
            measure(NextToken("1", log_p))
