"""Answers of a model: FastChat's `model_answer` rows, and what this package knows besides."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ia2_eval.mtbench.questions import read_lines


class Choice(BaseModel):
    """One sampled conversation. FastChat judges the one with index 0."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    index: int
    turns: tuple[str, ...]
    """The answer to each turn."""
    tokens: tuple[int | None, ...] = ()
    """Generated for each turn, where known; stop strings count."""
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


def read_answers(path: Path) -> tuple[ModelAnswer, ...]:
    """The answers in a file of FastChat's, the last one of each question.

    Raises:
        UserError: the file is missing or empty, or a line is no such row.
    """
    latest = {answer.question_id: answer for answer in read_lines(path, ModelAnswer, "FastChat's model_answer")}
    return tuple(latest.values())
