from __future__ import annotations

from pathlib import Path

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts import overlap
from ia2_eval.mtbench.prompts.overlap import evaluated_keys, keys_of, mt_bench_keys, refuse_questions, turn_key
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Turn
from ia2_eval.mtbench.questions import Question, load_questions

QUESTIONS = [Question(question_id=7, category="math", turns=("How many?", "And now?"))]


def demonstration(*queries: str) -> Demonstration:
    return Demonstration(turns=tuple(Turn(query=query, answer="A") for query in queries))


def test_every_turn_of_mt_bench_is_known(shared_data: Path) -> None:
    turns = [turn for each in load_questions(shared_data / "mt_bench" / "question.jsonl") for turn in each.turns]
    assert mt_bench_keys() == {turn_key(turn) for turn in turns}


def test_the_known_turns_are_as_many_as_mt_bench_has() -> None:
    assert len(mt_bench_keys()) == 160
    assert all(len(key) == len(turn_key("")) for key in mt_bench_keys())


def test_questions_of_the_evaluation_are_refused() -> None:
    with pytest.raises(UserError, match=r"1 demonstrations ask what models are evaluated on: 'Hi'\. Take them out"):
        refuse_questions([demonstration("Hi", " AND  now?\n"), demonstration("Ho")], QUESTIONS)
    refuse_questions([demonstration("Hi", "Now?")], QUESTIONS)


def test_those_of_mt_bench_are_refused_whatever_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "mt_bench_keys", lambda: keys_of([demonstration("Write!")]))
    for questions in ((), QUESTIONS):
        with pytest.raises(UserError, match=r"12 demonstrations .*'write!'; \.\.\.\. Take"):
            refuse_questions([demonstration("write!")] * 12, questions)
    assert evaluated_keys(QUESTIONS) == keys_of([demonstration("Write!", "How many?", "And now?")])
