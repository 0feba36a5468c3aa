"""Outcomes with a known truth, to see what the tests make of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Simulated(NamedTuple):
    """Answers of one method on one dataset, as `Outcomes` of each seed stacked."""

    correct: NDArray[np.bool_]  # [S, n]
    confidence: NDArray[np.float64]  # [S, n]


@dataclass(frozen=True)
class World:
    """Two methods on one dataset. An answer is right where a sum of normal variables is above 0: the skill of its
    method, the luck of the training set (both methods have it), of its own training run, of the example (both have it),
    of the method with the example (all its seeds have it), and of the answer.
    """

    skills: tuple[float, float] = (0.5, 0.5)
    training_set: float = 0.3  # standard deviations
    training_run: float = 0.3
    example: float = 1.0
    method_example: float = 0.5
    sharpness: tuple[float, float] = (1.0, 1.0)  # 1 is calibrated, more is overconfident

    def accuracy(self, method: int) -> float:
        """Of other seeds on other examples."""
        from scipy.special import ndtr

        variances = (self.training_set, self.training_run, self.example, self.method_example, 1.0)
        return float(ndtr(self.skills[method] / sqrt(sum(value**2 for value in variances))))

    @property
    def difference(self) -> float:
        """True difference in accuracy."""
        return self.accuracy(0) - self.accuracy(1)

    def draw(self, rng: np.random.Generator, seeds: int, n: int) -> tuple[Simulated, Simulated]:
        """Both methods' answers with the same training sets to the same examples."""
        shared = self.training_set * rng.standard_normal((seeds, 1)) + self.example * rng.standard_normal(n)
        return self._answers(rng, shared, 0), self._answers(rng, shared, 1)

    def _answers(self, rng: np.random.Generator, shared: NDArray[np.float64], method: int) -> Simulated:
        from scipy.special import expit, log_ndtr

        seeds, n = shared.shape
        own = self.training_run * rng.standard_normal((seeds, 1)) + self.method_example * rng.standard_normal(n)
        ease = self.skills[method] + shared + own  # right with the chance Phi(ease)
        odds = log_ndtr(ease) - log_ndtr(-ease)
        return Simulated(rng.standard_normal((seeds, n)) < ease, expit(self.sharpness[method] * odds))
