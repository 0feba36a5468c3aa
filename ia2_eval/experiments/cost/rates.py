"""Seconds from amounts of work: what each takes, fitted to what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ia2_eval.experiments.cost.work import Work


class Timing(NamedTuple):
    """Work that was done, and what it took."""

    work: Work
    seconds: float


@dataclass(frozen=True)
class Rates:
    """Seconds that one of each amount takes."""

    seconds: Mapping[str, float]

    @classmethod
    def fit(cls, timings: Sequence[Timing]) -> Rates:
        """The rates, none below 0, with the least squares of relative errors.

        What the timings cannot tell apart, such as steps and tokens in one proportion, stays together: sums of work of
        like proportions are right all the same.
        """
        from scipy.optimize import nnls

        names = sorted({name for timing in timings for name, amount in timing.work.amounts.items() if amount})
        if not names:
            return cls({})
        amounts = np.array([[timing.work.amounts.get(name, 0.0) for name in names] for timing in timings])
        seconds = np.array([timing.seconds for timing in timings])
        scale = amounts.max(axis=0)  # amounts differ by many orders of magnitude
        found, _ = nnls(amounts / scale / seconds[:, None], np.ones(len(seconds)))
        return cls(dict(zip(names, (found / scale).tolist(), strict=True)))

    def of(self, work: Work) -> float:
        """Seconds of some work; what was never measured counts as nothing (see `unknown`)."""
        return sum(self.seconds.get(name, 0.0) * amount for name, amount in work.amounts.items())

    def unknown(self, works: Iterable[Work]) -> list[str]:
        """Amounts that were never measured."""
        return sorted({name for work in works for name, amount in work.amounts.items() if amount} - self.seconds.keys())
