"""Where versions and machine are the reference's: the same bits, or something has changed."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.regression.check import Verdict
from ia2_eval.regression.matching import Pair
from ia2_eval.regression.pairs import accuracies, answers_moved, trainings


def same_bits(pairs: Sequence[Pair], retrained: bool) -> tuple[Verdict, str]:
    answers = answers_moved(pairs, 0.0)
    changed = sum(before != after for before, after in map(trainings, pairs)) if retrained else 0
    if not answers.moved and not changed:
        return "pass", str(answers)
    trained = f"; {changed} of {len(pairs)} trainings went differently" if changed else ""
    return "regression", f"{answers}{trained}; {accuracies(pairs)}; versions and machine are the reference's"
