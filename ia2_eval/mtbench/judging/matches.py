"""What is judged: an answer alone, or two against each other. FastChat plans it, and calls one of them a match."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.answers import ModelAnswer, read_answers
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.judging.calls import Call, Opinion
from ia2_eval.mtbench.judging.fastchat_judges import fastchat_judges
from ia2_eval.mtbench.judging.judgments import Judgment, PairJudgment
from ia2_eval.mtbench.layout import Layout

Row = TypeVar("Row", bound=Judgment | PairJudgment)
Answers = Mapping[int, ModelAnswer]
"""Of one model, by question."""
Identity = tuple[str | int, ...]
"""Models, question, turn and so on: a finished file has one row of each, in their order."""


@dataclass(frozen=True)
class Match(Generic[Row]):
    """One row of judgments to be."""

    identity: Identity
    calls: tuple[Call[Any], ...]
    row: Callable[[Match[Row], Sequence[Opinion[Any]]], Row]
    """Makes the row from an opinion on each call."""
    recall: Callable[[Row], Sequence[Opinion[Any] | None]]
    """The opinions in a row of this very match, one for each call; None where the judge gave none."""

    @property
    def key(self) -> str:
        """sha256 of everything that can change the row."""
        if len(self.calls) == 1:
            return self.calls[0].key
        return hashlib.sha256(" ".join(call.key for call in self.calls).encode()).hexdigest()


def read_all_answers(layout: Layout, bench: Bench, model_ids: Sequence[str] | None) -> dict[str, Answers]:
    """The answers of models to the questions of a bench; None: of all models that have any.

    Raises:
        UserError: a model has no answers to the bench, or an answer lacks a turn.
    """
    known = layout.model_ids()
    if not known:
        raise UserError(f"there are no answers in {layout.answers_directory}: run `ia2-eval mtbench generate` first")
    for model in model_ids or ():
        if model not in known:
            raise UserError(f"{layout.answers_directory} has no answers of {model!r}.{did_you_mean(model, known)}")
    read = {model: read_answers(layout.answers(model)) for model in dict.fromkeys(model_ids or known)}
    return {model: answers_to(bench, model, answers) for model, answers in read.items()}


def answers_to(bench: Bench, model: str, answers: Sequence[ModelAnswer]) -> Answers:
    """Those to questions of the bench.

    Raises:
        UserError: there are none, or one lacks a turn.
    """
    by_question = {answer.question_id: answer for answer in answers}
    found = {
        each.question_id: by_question[each.question_id] for each in bench.questions if each.question_id in by_question
    }
    if not found:
        some = ", ".join(map(str, sorted(by_question)[:3]))
        raise UserError(
            f"{model!r} has no answer to a question of the bench {bench.name!r} (but to {some}): check --bench"
        )
    for question in bench.questions:
        answer = found.get(question.question_id)
        for choice in answer.choices if answer else ():
            if len(choice.turns) < len(question.turns):
                raise UserError(
                    f"the answer of {model!r} to question {question.question_id} has {len(choice.turns)} of "
                    f"{len(question.turns)} turns: generate it again"
                )
    return found


def planned(
    bench: Bench,
    judges: Mapping[str, Any],
    make: Callable[..., list[Any]],
    answers: Mapping[str, Mapping[int, Mapping[str, Any]]],
    model: str,
    baseline: str | None = None,
) -> Iterator[Any]:
    """FastChat's matches of a model over both turns, for the questions that all models in `answers` have answered.

    Args:
        bench: what was asked.
        judges: FastChat's `make_judge_single` or `make_judge_pairwise`.
        make: FastChat's `make_match_single` or `make_match`.
        answers: FastChat's rows by model and question; the first choice counts.
        model: the first of a pair.
        baseline: the second.

    Raises:
        UserError: a reference answer is missing.
    """
    rows = [each.model_dump(mode="json") for each in bench.questions]
    rows = [row for row in rows if all(row["question_id"] in of_model for of_model in answers.values())]
    references = {judge.model_name: bench.references for judge in judges.values()}
    try:
        fastchat_judges().check_data(rows, answers, references, list(answers), judges)
    except AssertionError as error:
        raise UserError(f"the bench {bench.name!r}: {error}") from None
    with_reference = {each.question_id for each in bench.questions if each.needs_reference}
    for multi_turn in (False, True):
        for name in ("default", "math"):
            group = [row for row in rows if (row["question_id"] in with_reference) == (name == "math")]
            judge = judges[f"{name}-mt" if multi_turn else name]
            given = references if name == "math" else None
            yield from make(group, [model], answers, judge, baseline, given, multi_turn)


def reference_slots(match: Any) -> dict[str, str]:
    """What FastChat fills in for the reference of a match, if it has one."""
    if match.ref_answer is None:
        return {}
    turns = match.ref_answer["choices"][0]["turns"]
    return {f"ref_answer_{number}": turns[number - 1] for number in ((1, 2) if match.multi_turn else (1,))}
