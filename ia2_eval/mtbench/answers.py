"""Answers of a model: FastChat's `model_answer` rows, and what this package knows besides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ia2_eval.atomic import write_atomically
from ia2_eval.mtbench.questions import Question, read_lines, rows_of
from ia2_eval.mtbench.writing import append_line, writing

if TYPE_CHECKING:
    from ia2_eval.mtbench.generation.texts import Place, Text


class Choice(BaseModel):
    """One sampled conversation. FastChat judges the one with index 0."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    index: int
    turns: tuple[str, ...]
    """The answer to each turn."""
    tokens: tuple[int | None, ...] = ()
    """Generated for each turn, where known. Stop strings count; not for hf and vLLM, whose texts are encoded anew."""
    truncated: tuple[bool | None, ...] = ()
    """Whether the answer to each turn came to the greatest length without an end."""


class ModelAnswer(BaseModel):
    """All answers of a model to a question."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    question_id: int
    answer_id: str = ""
    model_id: str
    choices: tuple[Choice, ...] = Field(min_length=1)
    tstamp: float = 0.0
    """When it was complete, seconds since 1970."""
    category: str | None = None
    """Of the question; FastChat's own files do not say."""


def read_answers(path: Path) -> tuple[ModelAnswer, ...]:
    """The answers in a file of FastChat's, the last one of each question.

    Raises:
        UserError: the file is missing or empty, or a line is no such row.
    """
    latest = {answer.question_id: answer for answer in read_lines(path, ModelAnswer, "FastChat's model_answer")}
    return tuple(latest.values())


def answers_of_before(path: Path) -> tuple[ModelAnswer, ...]:
    """The answers of an earlier run that may have been killed; none where there was none.

    Raises:
        UserError: a whole line is no answer.
    """
    if not path.exists():
        return ()
    whole = path.read_bytes().rpartition(b"\n")[0]
    return rows_of(whole.split(b"\n"), path, ModelAnswer, "FastChat's model_answer")


def complete_answers(
    texts: Mapping[Place, Text], questions: Sequence[Question], samples: int, model_id: str
) -> tuple[ModelAnswer, ...]:
    """Answers to the questions of which every turn of every sample is there, by question."""
    return tuple(_complete(texts, sorted(questions, key=lambda each: each.question_id), samples, model_id))


def _complete(
    texts: Mapping[Place, Text], questions: Sequence[Question], samples: int, model_id: str
) -> Iterator[ModelAnswer]:
    by_question = {(place.question_id, place.sample, place.turn): text for place, text in texts.items()}
    for question in questions:
        turns = range(1, len(question.turns) + 1)
        asked = [[(question.question_id, sample, turn) for turn in turns] for sample in range(samples)]
        if not all(place in by_question for sample in asked for place in sample):
            continue
        rows = [[by_question[place] for place in sample] for sample in asked]
        choices = tuple(
            Choice(
                index=index,
                turns=tuple(text.answer for text in row),
                tokens=tuple(text.tokens for text in row),
                truncated=tuple(text.truncated for text in row),
            )
            for index, row in enumerate(rows)
        )
        said = json.dumps([model_id, question.question_id, [choice.turns for choice in choices]])
        yield ModelAnswer(
            question_id=question.question_id,
            answer_id=hashlib.sha256(said.encode()).hexdigest()[:22],  # as long as FastChat's
            model_id=model_id,
            choices=choices,
            tstamp=max(text.tstamp for row in rows for text in row),
            category=question.category,
        )


def write_answers(path: Path, answers: Sequence[ModelAnswer]) -> None:
    """Write a file of answers; without any, there is none.

    Raises:
        UserError: it cannot be written.
    """
    with writing(path):
        if answers:
            write_atomically(path, b"".join(map(_line, answers)))
        else:
            path.unlink(missing_ok=True)


def add_answer(path: Path, answer: ModelAnswer) -> None:
    """Add to a file of answers, which ends with a whole line.

    Raises:
        UserError: it cannot be written.
    """
    append_line(path, _line(answer))


def _line(answer: ModelAnswer) -> bytes:
    return (json.dumps(answer.model_dump(mode="json")) + "\n").encode("ascii")
