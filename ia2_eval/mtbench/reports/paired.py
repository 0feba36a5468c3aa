"""Models compared on the same questions, and what choosing the best of several does to its score."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np

from ia2_eval.mtbench.reports.estimates import Estimate, pooled_mean
from ia2_eval.mtbench.reports.scores import ModelScores
from ia2_eval.scoring.bootstrap import RESAMPLES, Floats

FEWEST = 5
"""Questions from which optimism can be told: resamples of fewer are mostly the same few."""

_SEED = 0


def paired_difference(
    model: ModelScores, reference: ModelScores, turn: int | None = None, questions: frozenset[int] | None = None
) -> Estimate | None:
    """Mean difference of the ratings, model - reference, with a paired interval; None if they share no question.

    Over the turns of questions that both have a rating for: each counts once, with the mean over samples and repeats.
    The interval draws questions with replacement, so that how hard a question is cancels out.

    Args:
        model: minuend.
        reference: subtrahend, of the same judge.
        turn: None for all.
        questions: None for all.
    """
    ours, theirs = (_by_turn(scored, turn, questions) for scored in (model, reference))
    shared = [cell for cell in ours if cell in theirs]
    return pooled_mean([ours[cell] - theirs[cell] for cell in shared], [question for question, _ in shared])


def optimism(models: Sequence[ModelScores], questions: frozenset[int] | None = None) -> float | None:
    """By how many points the best average of several models is too high, as it was chosen on these very questions.

    Bootstrap (Efron 1983): the mean over resamples of the questions of the best average in the resample less the
    average of the same model on the questions themselves. Simulated with 2 to 48 models of 80 questions it found 55 to
    115 % of the true one, the least where models differ little. None for fewer than two models or five questions.

    Args:
        models: of one judge, on the same questions.
        questions: None for all.
    """
    rows = [
        (k, row.question_id, row.score)
        for k, scored in enumerate(models)
        for row in scored.rated
        if questions is None or row.question_id in questions
    ]
    ids, at = np.unique([question for _, question, _ in rows], return_inverse=True)
    if len({k for k, _, _ in rows}) < 2 or len(ids) < FEWEST:
        return None
    sums, counts = np.zeros((len(models), len(ids))), np.zeros((len(models), len(ids)))
    for (k, _, score), i in zip(rows, at, strict=True):
        sums[k, i] += score
        counts[k, i] += 1
    weights = np.random.default_rng(_SEED).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=RESAMPLES)
    drawn = _means(weights @ sums.T, weights @ counts.T)  # [R, K]
    best = drawn.argmax(axis=1)
    own = _means(sums.sum(axis=1), counts.sum(axis=1))  # [K]
    return float(np.mean(drawn[np.arange(RESAMPLES), best] - own[best]))


def _means(sums: Floats, counts: Floats) -> Floats:
    """Minus infinity where nothing is rated."""
    means: Floats = np.full(sums.shape, -np.inf)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _by_turn(scored: ModelScores, turn: int | None, questions: frozenset[int] | None) -> dict[tuple[int, int], float]:
    """Mean rating of each turn of each question."""
    ratings: dict[tuple[int, int], list[float]] = {}
    for row in scored.rated:
        if turn in (None, row.turn) and (questions is None or row.question_id in questions):
            ratings.setdefault((row.question_id, row.turn), []).append(row.score)
    return {cell: fsum(values) / len(values) for cell, values in ratings.items()}
