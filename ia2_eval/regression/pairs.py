"""What is computed of the pairs of a check: one for each seed, of the same examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.experiments.record import Evaluation, Record, Training
from ia2_eval.leaderboard.results.groups import evaluation_on
from ia2_eval.leaderboard.results.headline import STRICT_LABELS, STRICT_TEXTS
from ia2_eval.leaderboard.results.outcomes import Outcomes, outcomes
from ia2_eval.leaderboard.results.read import Sample
from ia2_eval.regression.answers import Moved, moved
from ia2_eval.regression.matching import Pair


def answers_moved(pairs: Sequence[Pair], tolerance: float) -> Moved:
    return moved(
        tuple(row for pair in pairs for row in pair.before),
        tuple(row for pair in pairs for row in pair.after),
        tolerance,
    )


def trainings(pair: Pair) -> tuple[Training, Training]:
    before, after = pair.reference.training, pair.rerun.training
    assert before is not None  # checked as the records were read
    assert after is not None
    return before.model_copy(update={"adapter": ""}), after.model_copy(update={"adapter": ""})


def outcomes_of(pairs: Sequence[Pair]) -> tuple[list[Outcomes], list[Outcomes]]:
    reported = STRICT_LABELS if get_benchmark(pairs[0].eval).single_token else STRICT_TEXTS

    def of(samples: tuple[Sample, ...], record: Record) -> Outcomes:
        return outcomes(samples, reported, f"samples/{record.key}/{pairs[0].eval}.jsonl")

    return [of(pair.before, pair.reference) for pair in pairs], [of(pair.after, pair.rerun) for pair in pairs]


def evaluations(pair: Pair) -> tuple[Evaluation, Evaluation]:
    before, after = evaluation_on(pair.reference, pair.eval), evaluation_on(pair.rerun, pair.eval)
    assert before is not None  # a pair is of an evaluation that both have
    assert after is not None
    return before, after


def accuracies(pairs: Sequence[Pair]) -> str:
    before, after = (np.mean([each.correct.mean() for each in side]) for side in outcomes_of(pairs))
    examples = sum(len(pair.before) for pair in pairs)
    return f"accuracy {100 * before:.1f} -> {100 * after:.1f} % (n = {examples})"
