"""The results of a comparison as rows: each measure of each method and N, within a seed and over the seeds.

A row over the seeds is the mean of all their rows. Its interval draws the questions (or held-out examples) with
replacement, each with what all seeds made of it: it says how far the result would move with other questions, for these
draws of the examples. How far it moves with other draws is the standard deviation over the seeds, beside it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import fsum
from statistics import stdev
from typing import NamedTuple

from ia2_eval.mtbench.comparison.recipe import METHODS
from ia2_eval.mtbench.comparison.run import Outcome
from ia2_eval.mtbench.reports.degeneration import MEASURES, Measure, degeneration
from ia2_eval.mtbench.reports.estimates import Estimate, pooled_mean
from ia2_eval.mtbench.reports.scores import ModelScores

SCORE, DIFFERENCE, LIKELIHOOD = "score", "difference", "log_likelihood"
REFERENCE = "icl"
TURNS = (1, 2)


class Row(NamedTuple):
    """A measure of a method on N examples."""

    method: str
    n: int | None
    """None where no examples are used."""
    seed: int | None
    """None: over all seeds."""
    measure: str
    """`score`, its `difference` to in-context learning on the same examples, `log_likelihood` of held-out answers in
    nats per token, or a measure of degeneration."""
    turn: int
    estimate: Estimate
    seeds: int
    seed_sd: float | None
    """Standard deviation over the seeds; None for fewer than two."""


Statistic = Callable[[Sequence[Outcome]], "Estimate | None"]


def result_rows(outcomes: Sequence[Outcome], judged: Mapping[str, ModelScores]) -> tuple[Row, ...]:
    """Rows of all arms that are done: methods in the order of `METHODS`, N ascending.

    Args:
        outcomes: of all arms.
        judged: scores by model id; empty without a judge.
    """
    groups: dict[tuple[str, int | None], list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda each: (METHODS.index(each.arm.method), each.arm.n or 0)):
        if outcome.record.status == "done":
            groups.setdefault((outcome.arm.method, outcome.arm.n), []).append(outcome)
    reference = {(o.arm.n, o.arm.seed): o.arm.model_id for o in outcomes if o.arm.method == REFERENCE}
    found: list[Row] = []
    for (method, n), group in groups.items():
        for measure, turn, statistic in _statistics(judged, reference):
            whole = statistic(group)
            if whole is None:
                continue
            seeds = [(each.arm.seed, statistic([each])) for each in group]
            values = [estimate.value for _, estimate in seeds if estimate is not None]
            spread = stdev(values) if len(values) > 1 else None
            found.append(Row(method, n, None, measure, turn, whole, len(values), spread))
            if n is not None:
                found += [Row(method, n, seed, measure, turn, own, 1, None) for seed, own in seeds if own is not None]
    return tuple(found)


def _statistics(
    judged: Mapping[str, ModelScores], reference: Mapping[tuple[int | None, int | None], str]
) -> Iterator[tuple[str, int, Statistic]]:
    for turn in TURNS:
        yield SCORE, turn, partial(_score, turn=turn, judged=judged)
        yield DIFFERENCE, turn, partial(_difference, turn=turn, judged=judged, reference=reference)
    yield LIKELIHOOD, 1, _likelihood
    for measure in MEASURES:
        for turn in TURNS:
            yield measure, turn, partial(_degeneration, measure=measure, turn=turn)


def _score(group: Sequence[Outcome], turn: int, judged: Mapping[str, ModelScores]) -> Estimate | None:
    cells = [cell for each in group for cell in _ratings(judged.get(each.arm.model_id), turn).items()]
    return pooled_mean([rating for _, rating in cells], [question for question, _ in cells])


def _difference(
    group: Sequence[Outcome],
    turn: int,
    judged: Mapping[str, ModelScores],
    reference: Mapping[tuple[int | None, int | None], str],
) -> Estimate | None:
    """Paired by question: ratings less those of in-context learning on the same examples."""
    values, questions = [], []
    for each in group:
        if each.arm.method == REFERENCE or (each.arm.n, each.arm.seed) not in reference:
            continue
        ours = _ratings(judged.get(each.arm.model_id), turn)
        theirs = _ratings(judged.get(reference[each.arm.n, each.arm.seed]), turn)
        shared = [question for question in ours if question in theirs]
        values += [ours[question] - theirs[question] for question in shared]
        questions += shared
    return pooled_mean(values, questions)


def _ratings(scored: ModelScores | None, turn: int) -> dict[int, float]:
    """Of each question, the mean over samples and repeats."""
    ratings: dict[int, list[float]] = {}
    for row in scored.rated if scored else ():
        if row.turn == turn:
            ratings.setdefault(row.question_id, []).append(row.score)
    return {question: fsum(values) / len(values) for question, values in ratings.items()}


def _likelihood(group: Sequence[Outcome]) -> Estimate | None:
    values = [value for each in group for value in each.record.held_out]
    return pooled_mean(values, [place for each in group for place in range(len(each.record.held_out))])


def _degeneration(group: Sequence[Outcome], measure: Measure, turn: int) -> Estimate | None:
    return degeneration([answer for each in group for answer in each.answers]).part(measure, turn)


def to_csv(rows: Sequence[Row], judge: str | None) -> str:
    """One line a row; the interval is empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ("method", "n", "seed", "measure", "turn", "judge")
    writer.writerow([*head, "value", "lower", "upper", "rows", "questions", "seeds", "seed_sd"])
    for row in rows:
        by = judge if row.measure in (SCORE, DIFFERENCE) else None
        bounds = [None if bound != bound else bound for bound in row.estimate[1:3]]
        counts = [row.estimate.n, row.estimate.questions, row.seeds, row.seed_sd]
        writer.writerow([row.method, row.n, row.seed, row.measure, row.turn, by, row.estimate.value, *bounds, *counts])
    return text.getvalue()
