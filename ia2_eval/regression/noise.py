"""Where rounding differs from the reference's: whether results differ by more than that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ia2_eval.regression.check import Verdict, worst
from ia2_eval.regression.intervals import Difference, accuracy_difference, statistic_difference
from ia2_eval.regression.matching import Pair
from ia2_eval.regression.pairs import accuracies, answers_moved, outcomes_of
from ia2_eval.scoring.bootstrap import estimate
from ia2_eval.scoring.calibration import ece_of

CONFIDENCE = 0.95
"""Of the bound by which a harmful change is excluded."""
TOLERANCES = {"float32": 0.01, "bfloat16": 0.25, "float16": 0.25}
"""Nats by which a log-likelihood may differ between machines, by the dtype of the base."""
MOST_MOVED = 0.02
"""Share of the answers that may differ by more in float32 where nothing was trained: near ties of the next token."""


class _Change(NamedTuple):
    """Of one metric; what is worse is told by the sign: 1 where more is worse, else -1."""

    shown: str
    difference: Difference
    sign: int

    def verdict(self, margin: float, level: float, retrained: bool) -> Verdict:
        # One model that was trained anew does not tell what training anew changes by itself.
        sure = len(self.difference.by_seed) > 1 or not retrained
        if sure and self.sign * self.difference.bound(upper=self.sign < 0, level=level) > 0:
            return "regression"
        return "pass" if self.sign * self._at_worst <= margin else "cannot tell"

    @property
    def _at_worst(self) -> float:
        return self.difference.bound(upper=self.sign > 0, level=CONFIDENCE)

    def __str__(self) -> str:
        return f"{self.shown} (at worst {100 * self._at_worst:+.1f})"


def within_noise(pairs: Sequence[Pair], retrained: bool, margin: float, level: float) -> tuple[Verdict, str]:
    """Whether the rerun is worse than the reference.

    Without training between, log-likelihoods must agree up to rounding, which tells more than any score. Elsewhere a
    check fails if its accuracy is lower, or its ECE higher, beyond doubt, for which models trained anew must be of two
    seeds or more; it passes if a harm beyond the margin is excluded; else it cannot be told.

    Args:
        pairs: one for each seed.
        retrained: whether the models were trained anew.
        margin: harm that must be excluded, as a share.
        level: of the one-sided bound by which harm is beyond doubt.
    """
    said = []
    if not retrained:
        dtype = pairs[0].reference.cell.base.dtype
        answers = answers_moved(pairs, TOLERANCES[dtype])
        said.append(f"{answers}; {TOLERANCES[dtype]:g} nats are allowed")
        if not answers.moved:
            return "pass", said[0]
        if dtype == "float32" and answers.moved > MOST_MOVED * answers.examples:
            return "regression", f"{said[0]}; {accuracies(pairs)}"
    changes = [change for change in (_accuracy(pairs), _ece(pairs)) if change is not None]
    said += [", ".join(map(str, changes)), f"n = {len(pairs)} x {len(pairs[0].before)}"]
    return worst(change.verdict(margin, level, retrained) for change in changes), "; ".join(said)


def _accuracy(pairs: Sequence[Pair]) -> _Change:
    before, after = (np.array([each.correct for each in side]) for side in outcomes_of(pairs))
    return _Change(
        f"accuracy {100 * before.mean():.1f} -> {100 * after.mean():.1f} %", accuracy_difference(before, after), -1
    )


def _ece(pairs: Sequence[Pair]) -> _Change | None:
    """Of the examples whose confidence is known in all; None where there is none."""
    before, after = outcomes_of(pairs)
    known = ~np.isnan([each.confidence for each in (*before, *after)]).any(axis=0)
    n = int(known.sum())
    if not n:
        return None
    was, now = ([ece_of(each.confidence[known], each.correct[known]) for each in side] for side in (before, after))
    means = (np.mean([estimate(statistic, n) for statistic in side]) for side in (was, now))
    return _Change("ECE " + " -> ".join(f"{100 * mean:.1f}" for mean in means), statistic_difference(was, now, n), 1)
