from __future__ import annotations

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.length import require_room
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Turn
from ia2_eval.mtbench.questions import Question

SET = build_prompt_set("set", "Be kind.", [Demonstration(turns=(Turn(query="a b c", answer="d"),))])
QUESTIONS = [
    Question(question_id=1, category="stem", turns=("one two three", "four")),
    Question(question_id=2, category="stem", turns=("one", "two " * 9)),
]


def words(text: str) -> int:
    return len(text.split())


def test_the_room_is_that_of_the_worst_question_in_each_turn() -> None:
    # The set: "# Instruction", "Be kind.", "# Query:" and "# Answer:" (2 words each), 4 fences, 3 + 1 words said.
    own, open_slot, asked = 2 + 2 + 2 + 2 + 4 + 3 + 1, 3, 4
    room = require_room(SET, QUESTIONS, words, max_length=100, max_new_tokens=20)
    assert room.prompt_set == own
    assert room.first_prompt == own + asked + 3 + open_slot  # question 1
    answered = 4  # heading and fences around the answer to turn 1
    assert room.last_prompt == own + (asked + 1) + answered + 20 + (asked + 9) + open_slot  # question 2
    assert room.certain and room.warning is None


def test_a_later_turn_that_may_not_fit_is_told() -> None:
    fits = require_room(SET, QUESTIONS, words, max_length=200, max_new_tokens=20)
    needed = fits.last_prompt + 20
    assert require_room(SET, QUESTIONS, words, needed, 20).certain
    short = require_room(SET, QUESTIONS, words, needed - 1, 20)
    assert short.warning is not None and f"{fits.last_prompt} tokens of prompt and 20 new" in short.warning
    assert require_room(SET, QUESTIONS, words, needed - 1, 20, turns=1).certain


def test_a_first_turn_that_does_not_fit_is_refused_with_the_numbers() -> None:
    fits = require_room(SET, QUESTIONS, words, max_length=200, max_new_tokens=20)
    needed = fits.first_prompt + 20
    require_room(SET, QUESTIONS, words, needed, 20)
    with pytest.raises(UserError) as caught:
        require_room(SET, QUESTIONS, words, needed - 3, 20)
    for said in (
        "the prompt set 'set' does not fit",
        f"{fits.prompt_set} tokens",
        f"the longest prompt (question 1) {fits.first_prompt}",
        "20 may be generated",
        f"takes {needed - 3} in all: 3 too many",
        "Take fewer or shorter demonstrations",
    ):
        assert said in str(caught.value)
