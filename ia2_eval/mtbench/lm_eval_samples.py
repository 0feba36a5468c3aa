"""Answers from the samples that lm-eval logs (`--log_samples`) for its MT-Bench tasks."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answers import Choice, ModelAnswer, read_answers, write_answers
from ia2_eval.mtbench.layout import Layout, model_id_of
from ia2_eval.mtbench.questions import Question, read_lines


class _Sample(BaseModel):
    """A row of lm-eval's file."""

    model_config = ConfigDict(extra="ignore")

    doc: Question
    filtered_resps: tuple[str, ...] = Field(min_length=1)


def add_answers(out: Path, given: str) -> None:
    """Write the answers of `NAME=FILE` to `model_answer/NAME.jsonl`.

    Raises:
        UserError: it is not of this form, the file has no such samples, or there are other answers of this name.
    """
    given_name, equals, file = given.partition("=")
    if not (given_name and equals and file):
        raise UserError(f"--lm-eval-samples {given!r}: give NAME=FILE, such as llama=samples_ia2_mtbench_....jsonl")
    name = model_id_of(given_name)
    path = Layout(out).answers(name)
    answers = answers_from_samples(Path(file), name)
    if path.exists() and [row.choices for row in read_answers(path)] != [row.choices for row in answers]:
        raise UserError(f"{path} has other answers than {file}: choose another name")
    write_answers(path, answers)


def answers_from_samples(path: Path, model_id: str) -> tuple[ModelAnswer, ...]:
    """FastChat's model_answer rows, in the order of the questions.

    Args:
        path: `samples_ia2_mtbench_<time>.jsonl`.
        model_id: what the answers are to be called.

    Raises:
        UserError: the file is missing, or holds no samples of an MT-Bench task, or a question twice.
    """
    samples = read_lines(path, _Sample, "lm-eval's samples of an ia2_mtbench task")
    answers: dict[int, ModelAnswer] = {}
    for sample in samples:
        question_id, turns = sample.doc.question_id, len(sample.doc.turns)
        texts = sample.filtered_resps
        if len(texts) % turns:
            raise UserError(f"{path}: {len(texts)} answers to the {turns} turns of question {question_id}")
        if question_id in answers:
            raise UserError(f"{path}: the question {question_id} is there twice; give the samples of one run")
        choices = (texts[first : first + turns] for first in range(0, len(texts), turns))
        answers[question_id] = ModelAnswer(
            question_id=question_id,
            answer_id=hashlib.sha256(f"{model_id} {question_id} {texts}".encode()).hexdigest()[:22],
            model_id=model_id,
            choices=tuple(Choice(index=index, turns=choice) for index, choice in enumerate(choices)),
            tstamp=path.stat().st_mtime,
            category=sample.doc.category,
        )
    return tuple(answers[question_id] for question_id in sorted(answers))
