"""Which of two models answered better, asked twice with swapped positions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Any, cast

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.judging.calls import Call, Opinion, messages
from ia2_eval.mtbench.judging.fastchat_judges import fastchat_judges
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import PairJudgment, Winner
from ia2_eval.mtbench.judging.matches import Answers, Identity, Match, planned, reference_slots
from ia2_eval.mtbench.judging.ratings import Verdict, parse_verdict

_WINNERS: tuple[dict[Verdict, Winner], ...] = (
    {"A": "model_1", "B": "model_2", "tie": "tie"},
    {"A": "model_2", "B": "model_1", "tie": "tie"},
)
"""What a verdict means in each of the two games."""


def pair_matches(
    bench: Bench,
    answers: Mapping[str, Answers],
    settings: JudgeSettings,
    baseline: str | None,
    standing: Collection[tuple[str, str]] = (),
) -> list[Match[PairJudgment]]:
    """All models against the baseline, or each against each; the first sample of the answers counts, as with FastChat.

    Args:
        bench: what was asked.
        answers: by model.
        settings: of the judge.
        baseline: the second of all pairs; None: each with each, in the order of their names.
        standing: pairs that have been judged in this order, which they keep: in the other one they would be judged, and
            counted, again.

    Raises:
        UserError: fewer than two models, the baseline is none of them, or a reference answer is missing.
    """
    if len(answers) < 2:
        raise UserError(f"a comparison needs two models with answers; here is {', '.join(answers)}")
    if baseline is not None and baseline not in answers:
        raise UserError(f"the baseline {baseline!r} is none of the models.{did_you_mean(baseline, answers)}")
    rules = fastchat_judges()
    judges = rules.make_judge_pairwise(settings.model, bench.judge_prompts)
    matches = []
    for pair in _pairs(sorted(answers), baseline):
        first, second = pair[::-1] if pair[::-1] in standing and pair not in standing else pair
        rows = {
            model: {
                question: {"choices": [{"turns": list(answer.choices[0].turns)}]}
                for question, answer in of_model.items()
            }
            for model, of_model in ((first, answers[first]), (second, answers[second]))
        }
        matches += [_match(each, settings) for each in planned(bench, judges, rules.make_match, rows, first, second)]
    if not matches:
        raise UserError(f"{', '.join(answers)} have answered no question in common")
    return sorted(matches, key=lambda match: match.identity)


def identity(row: PairJudgment) -> Identity:
    return row.model_1, row.model_2, row.question_id, row.turn


def _pairs(models: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    if baseline is None:
        return list(combinations(models, 2))
    return [(model, baseline) for model in models if model != baseline]


def _match(match: Any, settings: JudgeSettings) -> Match[PairJudgment]:
    prompt = match.judge.prompt_template
    games = (match.answer_1, match.answer_2), (match.answer_2, match.answer_1)
    asked = [messages(prompt, _slots(match, *(answer["choices"][0]["turns"] for answer in game))) for game in games]
    return Match(
        identity=(match.model_1, match.model_2, match.question["question_id"], 2 if match.multi_turn else 1),
        calls=tuple(Call(settings.model, prompt["name"], each, settings.key(each, 0), parse_verdict) for each in asked),
        row=_row,
        recall=_recall,
    )


def _slots(match: Any, answers_a: Sequence[str], answers_b: Sequence[str]) -> dict[str, str]:
    """As FastChat's `run_judge_pair` fills them in."""
    questions = match.question["turns"]
    if not match.multi_turn:
        return {
            "question": questions[0],
            "answer_a": answers_a[0],
            "answer_b": answers_b[0],
            **reference_slots(match),
        }
    return {
        "question_1": questions[0],
        "question_2": questions[1],
        "answer_a_1": answers_a[0],
        "answer_b_1": answers_b[0],
        "answer_a_2": answers_a[1],
        "answer_b_2": answers_b[1],
        **reference_slots(match),
    }


def _row(match: Match[PairJudgment], opinions: Sequence[Opinion[Verdict]]) -> PairJudgment:
    first, second = opinions
    model_1, model_2, question_id, turn = match.identity
    return PairJudgment(
        question_id=cast("int", question_id),
        model_1=cast("str", model_1),
        model_2=cast("str", model_2),
        g1_winner="error" if first.value is None else _WINNERS[0][first.value],
        g2_winner="error" if second.value is None else _WINNERS[1][second.value],
        judge=(match.calls[0].judge, match.calls[0].prompt),
        g1_user_prompt=match.calls[0].user_prompt,
        g1_judgment=first.text,
        g2_user_prompt=match.calls[1].user_prompt,
        g2_judgment=second.text,
        turn=cast("int", turn),
        tstamp=max(first.tstamp, second.tstamp),
        served_by=" and ".join(sorted({opinion.served_by for opinion in opinions if opinion.served_by})) or None,
        date=max(first.date, second.date),
        key=match.key,
    )


def _recall(row: PairJudgment) -> list[Opinion[Verdict] | None]:
    opinions: list[Opinion[Verdict] | None] = []
    games = (row.g1_winner, row.g1_judgment), (row.g2_winner, row.g2_judgment)
    for (winner, text), winners in zip(games, _WINNERS, strict=True):
        verdict = {named: verdict for verdict, named in winners.items()}.get(winner)
        opinions.append(None if verdict is None else Opinion("ok", verdict, text, row.tstamp, 1, row.served_by))
    return opinions
