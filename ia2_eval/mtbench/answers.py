"""Answers of a model: FastChat's `model_answer` rows, and what this package knows besides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ia2_eval.atomic import write_atomically
from ia2_eval.mtbench.questions import read_lines, rows_of
from ia2_eval.mtbench.writing import append_line, writing


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
