"""Judgments of answers: FastChat's `model_judgment` rows, and what this package knows besides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ia2_eval.mtbench.questions import read_lines

Status = Literal["ok", "unparseable", "refused", "no_answer"]
"""`no_answer`: the endpoint gave none, however often it was asked."""
FAILED_SCORE = -1
"""FastChat's score of an answer that could not be rated; its tools leave such rows out."""
SUPERSEDED = ".superseded.jsonl"
"""Ending of the file beside one of judgments that has those which others replaced: they count nowhere, but one that is
asked for once more is taken from there."""
Winner = Literal["model_1", "model_2", "tie", "error"]


class Judgment(BaseModel):
    """The rating of one turn of one answer. FastChat's files have the first eight."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    question_id: int
    model: str
    judge: tuple[str, str]
    """The judge as it was asked for, and the name of the prompt."""
    user_prompt: str | None = None
    judgment: str
    score: float = Field(allow_inf_nan=False)
    """From 1 to 10; `FAILED_SCORE` where there is none."""
    turn: int
    tstamp: float
    """When it was given, seconds since 1970."""

    sample: int = 0
    """Index of the answer's choice."""
    repeat: int = 0
    """Which of the k judgments of this answer."""
    status: Status = "ok"
    served_by: str | None = None
    """The judge's name as the endpoint returned it."""
    date: str | None = None
    """Day of the judgment in UTC, such as 2026-11-21."""
    key: str | None = None
    """sha256 of everything that can change the judgment."""
    attempts: int = 1
    """How often the endpoint was asked until it gave this one."""

    @property
    def failed(self) -> bool:
        return self.score == FAILED_SCORE


class PairJudgment(BaseModel):
    """Which of two models answered a turn better, asked twice with swapped positions."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    question_id: int
    model_1: str
    model_2: str
    g1_winner: Winner
    """With model 1 shown first."""
    g2_winner: Winner
    """With model 2 shown first."""
    judge: tuple[str, str]
    g1_user_prompt: str | None = None
    g1_judgment: str
    g2_user_prompt: str | None = None
    g2_judgment: str
    turn: int
    tstamp: float

    served_by: str | None = None
    date: str | None = None
    key: str | None = None

    @property
    def failed(self) -> bool:
        return "error" in (self.g1_winner, self.g2_winner)


def read_judgments(path: Path, on_torn_end: Callable[[], None] | None = None) -> tuple[Judgment, ...]:
    """
    Raises:
        UserError: the file is missing or empty, or a line is no such row.
    """
    return read_lines(path, Judgment, "FastChat's model_judgment, single grading", on_torn_end)


def read_pair_judgments(path: Path, on_torn_end: Callable[[], None] | None = None) -> tuple[PairJudgment, ...]:
    """
    Raises:
        UserError: the file is missing or empty, or a line is no such row.
    """
    return read_lines(path, PairJudgment, "FastChat's model_judgment, pairwise", on_torn_end)
