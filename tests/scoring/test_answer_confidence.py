"""Confidence of an answer inside a text, by hand."""

from __future__ import annotations

import math

import pytest

from ia2_eval.scoring.answer_confidence import answer_confidence

# "so #### 42 ok": tokens `so`, ` ####`, ` 4`, `2`, ` ok`
ENDS = (2, 7, 9, 10, 13)
LOG_P = tuple(math.log(p) for p in (0.9, 0.8, 0.5, 0.4, 0.1))
ANSWER = slice(8, 10)


def test_only_the_tokens_of_the_answer_count() -> None:
    # The space before it is part of the token of the 4.
    assert answer_confidence(ANSWER, ENDS, LOG_P) == pytest.approx(0.5 * 0.4)
    assert answer_confidence(slice(9, 10), ENDS, LOG_P) == pytest.approx(0.4)
    assert answer_confidence(slice(0, 13), ENDS, LOG_P) == pytest.approx(0.9 * 0.8 * 0.5 * 0.4 * 0.1)
    assert answer_confidence(slice(1, 3), ENDS, LOG_P) == pytest.approx(0.9 * 0.8), "partly overlapped tokens count"
    assert answer_confidence(slice(0, 2), ENDS, LOG_P) == pytest.approx(0.9), "a token that starts at its end does not"


def test_without_an_answer_or_its_tokens_there_is_none() -> None:
    assert answer_confidence(None, ENDS, LOG_P) is None
    assert answer_confidence(ANSWER, (), ()) is None
    assert answer_confidence(ANSWER, ENDS[:3], LOG_P[:3]) is None, "the tokens end inside it"


def test_the_last_token_may_reach_beyond_the_text() -> None:
    assert answer_confidence(ANSWER, (2, 7, 9, 14), LOG_P[:4]) == pytest.approx(0.5 * 0.4)


def test_parts_of_a_character_count_where_it_stands() -> None:
    # "aé": `a`, the first byte of é, which shows nothing yet, and the second; then an end token, which shows nothing.
    ends, log_p = (1, 1, 2, 2), tuple(math.log(p) for p in (0.9, 0.8, 0.7, 0.1))
    assert answer_confidence(slice(1, 2), ends, log_p) == pytest.approx(0.8 * 0.7)
    assert answer_confidence(slice(0, 1), ends, log_p) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "answer", "ends", "of_answer"),
    [
        # A token for the mark, then one for each byte; the last byte of a character completes it.
        ("#### café", "café", (4, 5, 6, 7, 8, 8, 9), (2, 7)),
        ("#### 😀", "😀", (4, 5, 5, 5, 5, 6), (2, 6)),
        ("#### Σ\nx", "Σ", (4, 5, 5, 6, 7, 8), (2, 4)),
        # The first byte after the answer adds no text, as those of the answer do.
        ("é 5\né", "5", (0, 1, 2, 3, 4, 4, 5), (3, 4)),
        ("\\boxed{Σ}", "Σ", (7, 7, 8, 9), (1, 3)),
        ("5é", "5", (1, 1, 2), (0, 1)),
    ],
)
def test_every_byte_of_the_answer_counts(
    text: str, answer: str, ends: tuple[int, ...], of_answer: tuple[int, int]
) -> None:
    log_p = [-(2.0**-k) for k in range(len(ends))]  # no two selections have the same sum
    start = text.index(answer)
    confidence = answer_confidence(slice(start, start + len(answer)), ends, log_p)
    assert confidence == pytest.approx(math.exp(sum(log_p[slice(*of_answer)])), rel=1e-12)


def test_certain_tokens_are_certain() -> None:
    assert answer_confidence(slice(0, 2), (1, 2), (0.0, 0.0)) == 1.0
    assert answer_confidence(slice(0, 2), (1, 2), (1e-6, 0.0)) == 1.0, "rounding of a probability of 1"
    assert answer_confidence(slice(0, 2), (1, 2), (-math.inf, 0.0)) == 0.0


def test_tokens_without_log_likelihoods_are_refused() -> None:
    with pytest.raises(ValueError, match="5 tokens with 4"):
        answer_confidence(ANSWER, ENDS, LOG_P[:4])
