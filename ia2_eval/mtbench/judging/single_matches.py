"""Rate each answer alone, from 1 to 10."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.judging.calls import Call, Opinion, messages
from ia2_eval.mtbench.judging.fastchat_judges import fastchat_judges
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import FAILED_SCORE, Judgment
from ia2_eval.mtbench.judging.matches import Answers, Identity, Match, planned, reference_slots
from ia2_eval.mtbench.judging.ratings import parse_rating


def single_matches(
    bench: Bench, answers: Mapping[str, Answers], settings: JudgeSettings, repeats: int
) -> list[Match[Judgment]]:
    """Every sample of every answer, turn by turn, so often; in the order of the file.

    Raises:
        UserError: a reference answer is missing.
    """
    matches = [
        _match(model, sample, planned_match, settings, repeat)
        for model, of_model in answers.items()
        for sample, planned_match in _planned(bench, model, of_model, settings)
        for repeat in range(repeats)
    ]
    return sorted(matches, key=lambda match: match.identity)


def identity(row: Judgment) -> Identity:
    return row.model, row.question_id, row.turn, row.sample, row.repeat


def _planned(bench: Bench, model: str, answers: Answers, settings: JudgeSettings) -> Iterator[tuple[int, Any]]:
    """FastChat's matches for each sample, which it is given as the only one: it judges no other than the first."""
    rules = fastchat_judges()
    judges = rules.make_judge_single(settings.model, bench.judge_prompts)
    samples = sorted({choice.index for answer in answers.values() for choice in answer.choices})
    for sample in samples:
        rows = {
            question: {"choices": [{"index": sample, "turns": list(choice.turns)}]}
            for question, answer in answers.items()
            for choice in answer.choices
            if choice.index == sample
        }
        for match in planned(bench, judges, rules.make_match_single, {model: rows}, model):
            yield sample, match


def _match(model: str, sample: int, match: Any, settings: JudgeSettings, repeat: int) -> Match[Judgment]:
    prompt = match.judge.prompt_template
    asked = messages(prompt, _slots(match))
    return Match(
        identity=(model, match.question["question_id"], 2 if match.multi_turn else 1, sample, repeat),
        calls=(Call(settings.model, prompt["name"], asked, settings.key(asked, repeat), parse_rating),),
        row=_row,
        recall=_recall,
    )


def _slots(match: Any) -> dict[str, str]:
    """As FastChat's `run_judge_single` fills them in."""
    questions, answers = match.question["turns"], match.answer["choices"][0]["turns"]
    if not match.multi_turn:
        return {"question": questions[0], "answer": answers[0], **reference_slots(match)}
    return {
        "question_1": questions[0],
        "question_2": questions[1],
        "answer_1": answers[0],
        "answer_2": answers[1],
        **reference_slots(match),
    }


def _row(match: Match[Judgment], opinions: Sequence[Opinion[float]]) -> Judgment:
    (call,), (opinion,) = match.calls, opinions
    model, question_id, turn, sample, repeat = match.identity
    return Judgment(
        question_id=cast("int", question_id),
        model=cast("str", model),
        judge=(call.judge, call.prompt),
        user_prompt=call.user_prompt,
        judgment=opinion.text,
        score=FAILED_SCORE if opinion.value is None else opinion.value,
        turn=cast("int", turn),
        tstamp=opinion.tstamp,
        sample=cast("int", sample),
        repeat=cast("int", repeat),
        status=opinion.status,
        served_by=opinion.served_by,
        date=opinion.date,
        key=match.key,
        attempts=opinion.attempts,
    )


def _recall(row: Judgment) -> tuple[Opinion[float] | None]:
    if row.failed:
        return (None,)
    return (Opinion(row.status, row.score, row.judgment, row.tstamp, row.attempts, row.served_by),)
