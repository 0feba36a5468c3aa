"""What earlier runs left, and what must not be mixed with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answers import ModelAnswer, read_answers, write_answers
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation import run as run_module
from ia2_eval.mtbench.generation.answer_settings import read_settings
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.generation.texts import Text, TextLedger
from ia2_eval.mtbench.layout import Layout, answers_name, model_id_of
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question

EMPTY = PromptSet(name="empty", text="")
GREEDY = DecodingSettings(max_new_tokens=4)


@pytest.fixture(scope="module")
def questions(trial_bench: Bench) -> tuple[Question, ...]:
    return trial_bench.questions[:3]


def run(model: OpenModel, questions: Sequence[Question], out: Path, **options: Any) -> tuple[ModelAnswer, ...]:
    return generate_answers(model, questions, EMPTY, options.pop("decoding", GREEDY), Layout(out), "m", **options)


def stop_at(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when that many texts have been written down."""
    plain, left = TextLedger.add, [count]

    def add(ledger: TextLedger, text: Text) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        plain(ledger, text)

    monkeypatch.setattr(TextLedger, "add", add)


def test_a_new_first_answer_is_never_beside_an_old_second_one(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    run(embedded_model, questions, tmp_path)
    reworded = [questions[0].model_copy(update={"turns": ("2 + 2", questions[0].turns[1])}), *questions[1:]]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(1, patch)
        run(embedded_model, reworded, tmp_path)
    kept = [row.question_id for row in read_answers(Layout(tmp_path).answers("m"))]
    assert kept == [question.question_id for question in questions[1:]]
    expected = run(embedded_model, reworded, tmp_path / "anew")
    assert [row.choices for row in run(embedded_model, reworded, tmp_path)] == [row.choices for row in expected]


def test_half_a_row_of_answers_is_cut_before_more_are_added(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(len(questions) + 1, patch)
        run(embedded_model, questions, tmp_path)
    with layout.answers("m").open("ab") as file:
        file.write(b'{"question_id": 2, "mod')  # killed in the middle of a line
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(1, patch)
        run(embedded_model, questions, tmp_path)
    assert len(read_answers(layout.answers("m"))) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_line_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """On `/dev/full` every write fails; the file itself is as before."""
    path = tmp_path / "texts.jsonl"
    text = Text(
        question_id=1, sample=0, turn=1, prompt_sha256="", generated="", answer="", tokens=0, truncated=None, tstamp=0
    )
    ledger = TextLedger(path)
    ledger.add(text)
    before = path.read_bytes()
    full = TextLedger(Path("/dev/full"))
    with pytest.raises(UserError, match=r"cannot write /dev/full: No space left on device"):
        full.add(text)
    assert not full.texts and path.read_bytes() == before and list(TextLedger.open(path).texts) == [text.place]


def test_answers_that_were_made_elsewhere_are_not_overwritten(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    path = Layout(tmp_path).answers("m")
    path.parent.mkdir()
    path.write_text('{"question_id": 81, "model_id": "m", "choices": [{"index": 0, "turns": ["a", "b"]}]}\n')
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"nothing says how .*m.jsonl was made"):
        run(embedded_model, questions, tmp_path)
    assert path.read_bytes() == before


def test_texts_of_unknown_settings_are_not_continued(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    run(embedded_model, questions, tmp_path)
    settings = Layout(tmp_path).settings("m")
    settings.write_text("{")
    with pytest.raises(UserError, match=r"is damaged .*: move it"):
        run(embedded_model, questions, tmp_path)
    settings.unlink()
    with pytest.raises(UserError, match=r"nothing says how .*texts.m.jsonl was made"):
        run(embedded_model, questions, tmp_path)


def test_settings_of_a_run_without_a_text_bind_nobody(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(0, patch)
        run(embedded_model, questions, tmp_path)
    other = GREEDY.model_copy(update={"repetition_penalty": 1.2})
    assert len(run(embedded_model, questions, tmp_path, decoding=other)) == 3
    assert read_settings(Layout(tmp_path).settings("m")).decoding == other


def test_versions_are_those_that_texts_were_made_with(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions_after(version: str, asked: Sequence[Question]) -> dict[str, str]:
        monkeypatch.setattr(run_module, "versions", lambda: {"torch": version, "peft": "1"})
        run(embedded_model, asked, tmp_path)
        return read_settings(Layout(tmp_path).settings("m")).versions

    assert versions_after("2.1", questions[:1]) == {"torch": "2.1", "peft": "1"}
    assert versions_after("2.2", questions[:1]) == {"torch": "2.1", "peft": "1"}  # which has made nothing
    assert versions_after("2.3", questions) == {"torch": "2.1, 2.3", "peft": "1"}
    assert versions_after("2.1", questions) == {"torch": "2.1, 2.3", "peft": "1"}


def test_questions_that_are_no_longer_asked_keep_their_texts(
    embedded_model: OpenModel, questions: Sequence[Question], tmp_path: Path
) -> None:
    whole = run(embedded_model, questions, tmp_path)
    assert [row.question_id for row in run(embedded_model, questions[:1], tmp_path)] == [questions[0].question_id]
    lines: list[str] = []
    assert run(embedded_model, questions, tmp_path, say=lines.append) == whole
    assert lines == ["m: turn 1, 0 texts, 3 of 3 are there", "m: turn 2, 0 texts, 3 of 3 are there"]


def test_questions_of_one_turn_and_of_three(embedded_model: OpenModel, tmp_path: Path) -> None:
    questions = [
        Question(question_id=1, category="math", turns=("1 + 1",)),
        Question(question_id=2, category="math", turns=("1 + 1", "2 + 2", "3 + 3")),
    ]
    answers = run(embedded_model, questions, tmp_path)
    assert [len(row.choices[0].turns) for row in answers] == [1, 3]
    assert read_answers(Layout(tmp_path).answers("m")) == answers
    prompt = EMPTY.prompt(questions[1].turns, answers[1].choices[0].turns[:2])
    (last,) = [text for text in TextLedger.open(Layout(tmp_path).texts("m")).texts.values() if text.turn == 3]
    assert last.prompt_sha256 == run_module.prompt_sha256(prompt)


def test_no_answers_are_no_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text("{}\n")
    write_answers(path, [])
    assert not path.exists()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("mistralai/Mistral-7B-v0.1", "urial", "t0"), "Mistral-7B-v0.1--urial--t0"),
        (("a/b", "random/urial.random.5", "t0"), "b--random_urial.random.5--t0"),
        (("a/b", "urial.plus.best_4&5", "t0", "lora 1"), "b+lora_1--urial.plus.best_4&5--t0"),
        (("models/llama/", "chat", "t0"), "llama--chat--t0"),
        (("gpt-4o:2024?", "x\n*", "t0"), "gpt-4o_2024_--x__--t0"),
    ],
)
def test_names_of_answers(asked: tuple[str, ...], expected: str) -> None:
    assert answers_name(*asked) == expected


def test_a_name_that_no_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    monkeypatch.chdir(directory)
    assert answers_name(".", "none", "t0") == "checkpoint--none--t0"
    assert model_id_of("Modèle/1") == "Modèle_1"
    for name in ("", "..", " "):
        with pytest.raises(UserError, match="is no name of a file"):
            model_id_of(name)
    with pytest.raises(UserError, match="more than 200 bytes"):
        model_id_of("é" * 101)
