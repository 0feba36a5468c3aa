"""Answers that carry more: still pairs and strings to lm-eval, and whole after its cache."""

from __future__ import annotations

import copy
import json
import pickle

import dill
import pytest

from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood, NextToken

TOKEN = NextToken(" 1", (-0.5, -1.5))


def test_a_log_likelihood_is_a_pair() -> None:
    answer = LogLikelihood((-1.25, True), TOKEN)
    assert answer == (-1.25, True) and isinstance(answer, tuple) and len(answer) == 2
    log_likelihood, greedy = answer
    assert (log_likelihood, greedy) == (-1.25, True)
    assert hash(answer) == hash((-1.25, True))
    assert json.loads(json.dumps(answer)) == [-1.25, True]
    assert answer.next_token == TOKEN


def test_a_generated_text_is_a_string() -> None:
    text = GeneratedText("so 42", (2, 5), (-0.1, -0.2))
    assert text == "so 42" and isinstance(text, str) and hash(text) == hash("so 42")
    assert json.dumps(text) == '"so 42"'
    assert type(text[:2]) is type(str(text)) is str, "a part has no tokens"
    assert (text.token_ends, text.token_log_likelihoods) == ((2, 5), (-0.1, -0.2))
    assert GeneratedText("plain").token_ends == ()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("module", [pickle, dill])
def test_pickling_keeps_everything(module: object, protocol: int) -> None:
    """lm-eval's request cache pickles answers."""
    assert module in (pickle, dill)
    pair, text = LogLikelihood((-1.25, True), TOKEN), GeneratedText("so 42", (2, 5), (-0.1, -0.2))
    back, back_text = (module.loads(module.dumps(answer, protocol=protocol)) for answer in (pair, text))  # type: ignore[attr-defined]
    assert type(back) is LogLikelihood and back == pair and back.next_token == TOKEN
    assert type(back.next_token) is NextToken
    assert type(back_text) is GeneratedText and back_text == text
    assert (back_text.token_ends, back_text.token_log_likelihoods) == ((2, 5), (-0.1, -0.2))


def test_copies_keep_everything() -> None:
    for made in (copy.copy, copy.deepcopy):
        assert made(LogLikelihood((-1.25, True), TOKEN)).next_token == TOKEN
        assert made(GeneratedText("so 42", (2, 5), (-0.1, -0.2))).token_ends == (2, 5)
