"""Questions of a bench, as FastChat stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ia2_eval.errors import UserError
from ia2_eval.frozen import one_line

Row = TypeVar("Row", bound=BaseModel)

NEED_REFERENCE = frozenset({"math", "reasoning", "coding", "arena-hard-200"})
"""Categories that are judged against a reference answer (FastChat, `NEED_REF_CATS`)."""


class Question(BaseModel):
    """One conversation: the second turn is asked after the first was answered."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question_id: int
    category: str
    turns: Annotated[tuple[str, ...], Field(min_length=1)]

    @property
    def needs_reference(self) -> bool:
        return self.category in NEED_REFERENCE


def load_questions(path: Path) -> tuple[Question, ...]:
    """
    Raises:
        UserError: the file is missing, empty, or a line of it is no question; or a question is there twice.
    """
    questions = read_lines(path, Question, "FastChat's question.jsonl")
    seen: set[int] = set()
    for question in questions:
        if question.question_id in seen:
            raise UserError(f"{path}: the question {question.question_id} is there twice")
        seen.add(question.question_id)
    return questions


def spread(questions: Sequence[Question], limit: int | None) -> tuple[Question, ...]:
    """The first `limit` questions if one of each category is taken in turn, by their place in the file; None: all.

    MT-Bench is ordered by category: its first ten questions are all of writing.
    """
    by_category: dict[str, list[Question]] = {}
    for question in questions:
        by_category.setdefault(question.category, []).append(question)
    rounds = zip_longest(*by_category.values())
    taken = [question for each in rounds for question in each if question is not None][:limit]
    return tuple(question for question in questions if question in taken)


def read_lines(
    path: Path, kind: type[Row], what: str, on_torn_end: Callable[[], None] | None = None
) -> tuple[Row, ...]:
    """The rows of a file of JSON lines.

    Args:
        path: the file.
        kind: what a line holds.
        what: for messages, such as "FastChat's question.jsonl".
        on_torn_end: called if the file ends in the middle of a line, which is left out; None if that is a fault.

    Raises:
        UserError: the file is missing or empty, or a line is no such row; it is named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path} ({what}): {error.strerror}") from error
    lines = content.split(b"\n")
    if lines[-1] and on_torn_end is not None:
        on_torn_end()
        lines.pop()
    rows = rows_of(lines, path, kind, what)
    if not rows:
        raise UserError(f"{path} has no rows ({what})")
    return rows


def rows_of(lines: Sequence[bytes], path: Path, kind: type[Row], what: str) -> tuple[Row, ...]:
    """The rows in lines of a file; blank ones hold none.

    Raises:
        UserError: a line is no such row; it is named.
    """
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise UserError(f"{path}, line {number}: not as in {what}: {one_line(error)}") from error
    return tuple(rows)
