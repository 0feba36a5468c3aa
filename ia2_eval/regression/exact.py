"""Where versions and machine are the reference's: the same bits, or something has changed."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.regression.check import Verdict
from ia2_eval.regression.matching import Pair
from ia2_eval.regression.metrics import changes, shown
from ia2_eval.regression.pairs import accuracies, answers_moved, evaluations, trainings


def same_bits(pairs: Sequence[Pair], retrained: bool) -> tuple[Verdict, str]:
    answers = answers_moved(pairs, 0.0)
    trained = sum(before != after for before, after in map(trainings, pairs)) if retrained else 0
    if answers.moved or trained:
        differently = f"{trained} of {len(pairs)} trainings went differently; " if trained else ""
        return "regression", f"{differently}{answers}; {accuracies(pairs)}"
    for before, after in map(evaluations, pairs):
        if found := changes(before.metrics, after.metrics):
            return "regression", f"{answers}, but the metrics are not: {shown(found)}"
        ends = [after.intervals.get(name) for name in before.intervals]
        if ends != list(before.intervals.values()):
            return "regression", f"{answers}, but the intervals of their metrics are not"
    return "pass", str(answers)
