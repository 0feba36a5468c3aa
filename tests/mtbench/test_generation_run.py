from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answers import ModelAnswer, read_answers
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.conversation import UrialConversation
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import ModelSettings, OpenModel, open_model
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.generation.texts import Place, TextLedger, prompt_sha256
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question, spread

DEMONSTRATION = "# Query:\n```\n3 - 1\n```\n\n# Answer:\n```\n2\n```\n"
PROMPTS = PromptSet(name="one", text=DEMONSTRATION)
GREEDY = DecodingSettings(max_new_tokens=6)
SAMPLED = DecodingSettings(temperature=1.3, max_new_tokens=6, samples=2, seed=1)


@pytest.fixture(scope="module")
def questions(trial_bench: Bench) -> tuple[Question, ...]:
    return spread(trial_bench.questions, 6)


def rows(path: Path) -> list[dict[str, Any]]:
    """Without the times."""
    content = [json.loads(line) for line in path.read_text().splitlines()]
    for row in content:
        del row["tstamp"]
    return content


def files(directory: Path) -> dict[str, Any]:
    layout = Layout(directory)
    return {
        "answers": rows(layout.answers("m")),
        "texts": rows(layout.texts("m")),
        "settings": layout.settings("m").read_text(),
    }


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_both_turns_are_answered(
    embedded_model: OpenModel, questions: Sequence[Question], decoding: DecodingSettings, tmp_path: Path
) -> None:
    answers = generate_answers(embedded_model, questions, PROMPTS, decoding, Layout(tmp_path), "m")
    assert [answer.question_id for answer in answers] == [question.question_id for question in questions]
    assert all([choice.index for choice in answer.choices] == list(range(decoding.samples)) for answer in answers)
    assert read_answers(Layout(tmp_path).answers("m")) == answers
    conversation = UrialConversation(PROMPTS)
    ledger = TextLedger.open(Layout(tmp_path).texts("m"))
    assert list(ledger.texts) == sorted(ledger.texts) and len(ledger.texts) == 12 * decoding.samples
    for question, answer in zip(questions, answers, strict=True):
        for choice in answer.choices:
            # The second prompt holds the first answer.
            prompt = conversation.prompt(question.turns, choice.turns[:1])
            text = ledger.texts[Place(question.question_id, choice.index, 2)]
            assert text.prompt_sha256 == prompt_sha256(prompt)
            assert choice.turns[0] in prompt and text.answer == choice.turns[1]
            assert all(tokens is not None and 1 <= tokens <= 6 for tokens in choice.tokens)


def test_the_same_as_lm_evals_own_model(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    plain = open_model(ModelSettings(backend="hf"), device="cpu", batch_size=2)
    found = generate_answers(embedded_model, questions, PROMPTS, GREEDY, Layout(tmp_path / "a"), "m")
    expected = generate_answers(plain, questions, PROMPTS, GREEDY, Layout(tmp_path / "b"), "m")
    assert [[choice.turns for choice in answer.choices] for answer in found] == [
        [choice.turns for choice in answer.choices] for answer in expected
    ]
    sampled = [
        generate_answers(plain, questions[:2], PROMPTS, SAMPLED, Layout(tmp_path / name), "m") for name in ("c", "d")
    ]
    assert [a.choices for a in sampled[0]] == [a.choices for a in sampled[1]]  # whatever was sampled before
    assert sampled[0][0].choices[0].turns != sampled[0][0].choices[1].turns


class StoppedError(Exception):
    pass


def interrupted_at(count: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Raise when that many texts have been written down."""
    plain: Callable[..., None] = TextLedger.add
    left = [count]

    def add(ledger: TextLedger, text: Any) -> None:
        if not left[0]:
            raise error
        left[0] -= 1
        plain(ledger, text)

    monkeypatch.setattr(TextLedger, "add", add)


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_an_interrupted_run_ends_as_one_that_was_not(
    embedded_model: OpenModel, questions: Sequence[Question], decoding: DecodingSettings, tmp_path: Path
) -> None:
    def run(directory: Path) -> tuple[ModelAnswer, ...]:
        return generate_answers(embedded_model, questions, PROMPTS, decoding, Layout(directory), "m")

    run(tmp_path / "whole")
    for count, error in ((2, KeyboardInterrupt), (5, StoppedError), (3, KeyboardInterrupt)):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(error):
            interrupted_at(count, patch, error)
            run(tmp_path / "parts")
    texts = Layout(tmp_path / "parts").texts("m")
    assert len(texts.read_bytes().splitlines()) == 10
    with texts.open("ab") as file:
        file.write(b'{"question_id": 3, "sam')  # killed in the middle of a line
    run(tmp_path / "parts")
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_complete_answers_are_there_before_the_run_ends(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        interrupted_at(len(questions) + 2, patch, StoppedError)
        generate_answers(embedded_model, questions, PROMPTS, GREEDY, layout, "m")
    assert len(read_answers(layout.answers("m"))) == 2


def test_more_questions_are_answered_later(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    said: list[str] = []
    generate_answers(embedded_model, questions[:2], PROMPTS, GREEDY, Layout(tmp_path), "m")
    answers = generate_answers(embedded_model, questions, PROMPTS, GREEDY, Layout(tmp_path), "m", say=said.append)
    assert len(answers) == len(questions)
    assert said[0] == "m: turn 1, 4 texts, 2 of 6 are there"


def test_fewer_questions_leave_the_other_answers_in_place(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    whole = generate_answers(embedded_model, questions, PROMPTS, GREEDY, layout, "m")
    assert generate_answers(embedded_model, questions[1:3], PROMPTS, GREEDY, layout, "m") == whole[1:3]
    assert read_answers(layout.answers("m")) == whole


def test_answers_to_two_benches_do_not_share_a_name(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    generate_answers(embedded_model, questions[:1], PROMPTS, GREEDY, Layout(tmp_path), "m", bench="trial")
    with pytest.raises(UserError, match='bench: "trial" -> "mt_bench"'):
        generate_answers(embedded_model, questions[:1], PROMPTS, GREEDY, Layout(tmp_path), "m", bench="mt_bench")


def test_a_question_that_was_reworded_is_asked_again(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    generate_answers(embedded_model, questions[:2], PROMPTS, GREEDY, Layout(tmp_path), "m")
    reworded = [questions[0].model_copy(update={"turns": ("2 + 2", "3 + 3")}), questions[1]]
    said: list[str] = []
    generate_answers(embedded_model, reworded, PROMPTS, GREEDY, Layout(tmp_path), "m", say=said.append)
    assert said == ["m: turn 1, 1 texts, 1 of 2 are there", "m: turn 2, 1 texts, 1 of 2 are there"]


def test_answers_of_other_settings_are_not_mixed(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    generate_answers(embedded_model, questions[:1], PROMPTS, GREEDY, Layout(tmp_path), "m")
    other = GREEDY.model_copy(update={"repetition_penalty": 1.2})
    with pytest.raises(UserError, match=r"decoding.repetition_penalty: 1.0 -> 1.2"):
        generate_answers(embedded_model, questions[:1], PROMPTS, other, Layout(tmp_path), "m")


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    long = PromptSet(name="long", text="word " * 2500 + "\n")
    with pytest.raises(UserError, match=r"'long' does not fit: it has \d+ tokens, .* 4000 may be generated, .* 8192"):
        decoding = DecodingSettings(max_new_tokens=4000)
        generate_answers(embedded_model, questions, long, decoding, Layout(tmp_path), "m")
    assert not list(tmp_path.iterdir())


def test_a_second_turn_gets_the_room_that_is_left(embedded_model: OpenModel, tmp_path: Path) -> None:
    """The first turn fits with its answer, the second has a few tokens left, or none."""
    empty = PromptSet(name="empty", text="")
    start = embedded_model.count_tokens(empty.prompt(["a"])) or 0
    length = 8192 - start - 40
    questions = [
        Question(question_id=1, category="math", turns=("a" * (length + 1), "b")),
        Question(question_id=2, category="math", turns=("a" * (length + 1), "b" * 200)),
    ]
    said: list[str] = []
    decoding = DecodingSettings(max_new_tokens=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded_model.lm, "_shares", False)
        answers = generate_answers(embedded_model, questions, empty, decoding, Layout(tmp_path), "m", say=said.append)
    assert said[0].startswith("m: after long answers, a later turn may not fit")
    assert "leaves fewer than 40 tokens for the answers to turn 2 of the questions 1 (" in said[-1]
    assert answers[1].choices[0].turns[1] == "" and answers[1].choices[0].truncated[1] is True
    assert answers[1].choices[0].tokens[1] == 0
