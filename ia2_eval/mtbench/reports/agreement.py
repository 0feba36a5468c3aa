"""How far two judges agree on the same answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum, isnan
from typing import Any, NamedTuple

from ia2_eval.mtbench.reports.estimates import Estimate, pooled_mean
from ia2_eval.mtbench.reports.scores import ModelScores

Answer = tuple[str, int, int, int]
"""Model, question, turn, sample."""


class Agreement(NamedTuple):
    """Over the answers that both judges rated; where one did so more than once, its mean is its rating."""

    judge_a: str
    judge_b: str
    model: str | None
    """None: all models."""
    n: int
    """Answers, each turn counted."""
    exact: float
    """Share with the same rating."""
    within_one: float
    """Share with ratings at most one point apart."""
    pearson: float | None
    """Of the ratings, as the next two; None where a judge gave all the same."""
    spearman: float | None
    kendall: float | None
    """tau-b."""
    kendall_models: float | None
    """tau-b of the models' averages over these answers; None for fewer than two models."""
    shift: Estimate
    """Mean of judge B's rating - judge A's."""


def agreement(scored: Sequence[ModelScores], judge_a: str, judge_b: str) -> tuple[Agreement, ...]:
    """Over all models, then each model (if there are several); empty if the judges share no answer.

    Args:
        scored: of all judges and models.
        judge_a: as in `scored`.
        judge_b: likewise.
    """
    a, b = (_ratings(scored, judge) for judge in (judge_a, judge_b))
    shared = [answer for answer in a if answer in b]
    models = list(dict.fromkeys(model for model, *_ in shared))
    found = []
    for model in (None, *models) if len(models) > 1 else (None,):
        of_model = [answer for answer in shared if model in (None, answer[0])]
        if of_model:
            found.append(_agreement(judge_a, judge_b, model, of_model, a, b))
    return tuple(found)


def _agreement(
    judge_a: str,
    judge_b: str,
    model: str | None,
    answers: Sequence[Answer],
    a: Mapping[Answer, float],
    b: Mapping[Answer, float],
) -> Agreement:
    from scipy.stats import kendalltau, pearsonr, spearmanr  # takes a second to import

    ours, theirs = [a[answer] for answer in answers], [b[answer] for answer in answers]
    shifts = [second - first for first, second in zip(ours, theirs, strict=True)]
    shift = pooled_mean(shifts, [answer[1] for answer in answers])
    assert shift is not None  # there is an answer
    averages = [_averages(answers, ratings) for ratings in (a, b)]
    return Agreement(
        judge_a=judge_a,
        judge_b=judge_b,
        model=model,
        n=len(answers),
        exact=sum(shift == 0 for shift in shifts) / len(shifts),
        within_one=sum(abs(shift) <= 1 + 1e-9 for shift in shifts) / len(shifts),
        pearson=_correlation(pearsonr, ours, theirs),
        spearman=_correlation(spearmanr, ours, theirs),
        kendall=_correlation(kendalltau, ours, theirs),
        kendall_models=_correlation(kendalltau, *averages) if model is None else None,
        shift=shift,
    )


def _ratings(scored: Sequence[ModelScores], judge: str) -> dict[Answer, float]:
    ratings: dict[Answer, list[float]] = {}
    for of_model in scored:
        if of_model.judge == judge:
            for row in of_model.rated:
                ratings.setdefault((row.model, row.question_id, row.turn, row.sample), []).append(row.score)
    return {answer: fsum(values) / len(values) for answer, values in ratings.items()}


def _averages(answers: Sequence[Answer], ratings: Mapping[Answer, float]) -> list[float]:
    """Of each model, in the order of the answers."""
    by_model: dict[str, list[float]] = {}
    for answer in answers:
        by_model.setdefault(answer[0], []).append(ratings[answer])
    return [fsum(values) / len(values) for values in by_model.values()]


def _correlation(measure: Callable[..., Any], a: Sequence[float], b: Sequence[float]) -> float | None:
    """None where it is not defined."""
    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    value = float(measure(a, b).statistic)
    return None if isnan(value) else value
