"""What models are evaluated on must be in no demonstration, whatever its case and blanks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, first_line
from ia2_eval.mtbench.questions import Question

FAULTS_SHOWN = 10
_DIGITS = 16  # hexadecimal, of sha256: 64 bits, more than enough for some thousand texts


def turn_key(query: str) -> str:
    """The same for texts that differ in case and blanks only."""
    return hashlib.sha256(" ".join(query.casefold().split()).encode()).hexdigest()[:_DIGITS]


def keys_of(demonstrations: Iterable[Demonstration]) -> frozenset[str]:
    """Of all their queries."""
    return frozenset(turn_key(turn.query) for demonstration in demonstrations for turn in demonstration.turns)


@cache
def mt_bench_keys() -> frozenset[str]:
    """Of all 160 turns of MT-Bench: none is overlooked where its questions are not at hand."""
    return frozenset((Path(__file__).parent / "mt_bench_turns.txt").read_text(encoding="ascii").split())


def evaluated_keys(questions: Iterable[Question] = ()) -> frozenset[str]:
    """Of MT-Bench and of the questions of another bench."""
    return mt_bench_keys() | {turn_key(turn) for question in questions for turn in question.turns}


def refuse_questions(demonstrations: Iterable[Demonstration], questions: Iterable[Question] = ()) -> None:
    """
    Raises:
        UserError: a query is a turn of MT-Bench or of these questions.
    """
    asked = evaluated_keys(questions)
    found = [repr(first_line(each)) for each in demonstrations if keys_of([each]) & asked]
    if found:
        more = ["..."] if len(found) > FAULTS_SHOWN else []
        raise UserError(
            f"{len(found)} demonstrations ask what models are evaluated on: {'; '.join(found[:FAULTS_SHOWN] + more)}. "
            "Take them out."
        )
