"""Outcomes with a known truth, and what the tests of `ia2-eval leaderboard compare` make of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.leaderboard.significance.crossed import shared_variance_of_means, shared_variance_of_resamples
from ia2_eval.leaderboard.significance.evidence import LEVEL
from ia2_eval.leaderboard.significance.mcnemar import mcnemar_p
from ia2_eval.leaderboard.significance.over_seeds import paired_p, wilcoxon
from ia2_eval.leaderboard.significance.paired_bootstrap import CalibrationErrors, bootstrap, resampled_means
from ia2_eval.leaderboard.significance.pairs import Answers, Pairs
from ia2_eval.leaderboard.significance.power import power, power_over_examples
from ia2_eval.leaderboard.significance.sign_flips import sign_flip_p

RESAMPLES = 200
"""Of a bootstrap: fewer than in a comparison, whose p hardly depends on it, and many times as fast."""


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
    sharpness: tuple[float, float] = (1.0, 1.0)  # of the confidence: 1 is calibrated, more is overconfident

    def accuracy(self, method: int) -> float:
        """Of other seeds on other examples."""
        from scipy.special import ndtr

        deviations = (self.training_set, self.training_run, self.example, self.method_example, 1.0)
        return float(ndtr(self.skills[method] / sqrt(sum(value**2 for value in deviations))))

    def draw(self, rng: np.random.Generator, seeds: int, n: int) -> Pairs:
        """Both methods' answers with the same training sets to the same examples."""
        one, other = self.draw_methods(rng, seeds, n, (0, 1))
        return Pairs(tuple(range(seeds)), one, other, 0, ())

    def draw_methods(self, rng: np.random.Generator, seeds: int, n: int, methods: Sequence[int]) -> list[Answers]:
        """Likewise of any number of methods, each as the first or the second one."""
        shared = self.training_set * rng.standard_normal((seeds, 1)) + self.example * rng.standard_normal(n)
        return [self._answers(rng, shared, method) for method in methods]

    def _answers(self, rng: np.random.Generator, shared: NDArray[np.float64], method: int) -> Answers:
        from scipy.special import expit, log_ndtr

        seeds, n = shared.shape
        own = self.training_run * rng.standard_normal((seeds, 1)) + self.method_example * rng.standard_normal(n)
        ease = self.skills[method] + shared + own  # right with the chance Phi(ease)
        odds = log_ndtr(ease) - log_ndtr(-ease)
        correct = rng.standard_normal((seeds, n)) < ease
        return Answers(correct, expit(self.sharpness[method] * odds), correct)


class Simulated(NamedTuple):
    difference: float  # mean over the simulations
    rejected: dict[str, float]  # share of simulations that a test finds significant, by its name
    predicted: dict[str, float]  # what `power` says of the same, from the variances that the simulations have


def simulate(world: World, seeds: int, n: int, simulations: int, metric: str = "acc") -> Simulated:
    """Draws both methods' answers again and again, and tests them each time.

    Args:
        world: the truth.
        seeds: of each method.
        n: examples.
        simulations: how often.
        metric: `acc` or `ECE`, of 15 equal-width bins.
    """
    rng = np.random.default_rng(0)
    hits: Counter[str] = Counter()
    moments: dict[str, list[float]] = defaultdict(list)
    for _ in range(simulations):
        pairs = world.draw(rng, seeds, n)
        if metric == "acc":
            values = pairs.accuracy_differences
            differences, shared = values.mean(axis=1), shared_variance_of_means(values)
            per_example = values.mean(axis=0)
            resamples = resampled_means(per_example, RESAMPLES)
            moments["example"].append(float(per_example.var()))
        else:
            errors = CalibrationErrors("equal-width", RESAMPLES)
            differences, drawn = errors.differences(pairs), errors.resampled_differences(pairs)
            shared, resamples = shared_variance_of_resamples(drawn), drawn.mean(axis=0)
        difference = float(differences.mean())
        p_values = {"bootstrap": bootstrap(difference, resamples, n).p}
        if metric == "acc":
            p_values["mcnemar"] = mcnemar_p(*(side.correct for side in pairs.sides))
            p_values["McNemar of all answers"] = sign_flip_p(values.astype(np.int64).ravel())
        if seeds > 1:
            p_values["t"], p_values["crossed"] = paired_p(differences), paired_p(differences, shared)
            p_values["wilcoxon"] = wilcoxon([float(each) for each in differences]).p
        hits.update(name for name, p in p_values.items() if p is not None and p < LEVEL)
        moments["seed"].append(float(differences.var(ddof=1)) if seeds > 1 else 0.0)
        moments["shared"].append(shared)
        moments["difference"].append(difference)
        moments["bootstrap"].append(float(resamples.var(ddof=1)))
    mean = {name: float(np.mean(values)) for name, values in moments.items()}
    return Simulated(
        mean["difference"],
        {name: hits[name] / simulations for name in p_values},
        dict(_predicted(mean, seeds, n)),
    )


def _predicted(mean: dict[str, float], seeds: int, n: int) -> Iterator[tuple[str, float]]:
    if "example" in mean:
        yield "mcnemar", power_over_examples(mean["difference"], sqrt(mean["example"]), n)
    yield "bootstrap", power(mean["difference"], 0.0, 10**6, mean["bootstrap"])
    if seeds > 1:
        # s^2 of the seeds on one evaluation set; on others the mean scatters by the shared variance besides.
        yield "t", power(mean["difference"], sqrt(mean["seed"]), seeds)
        yield "crossed", power(mean["difference"], sqrt(mean["seed"]), seeds, mean["shared"])


def dataset_differences(
    rng: np.random.Generator, pairs: tuple[int, ...], effect: float, between: float, within: float
) -> dict[str, list[float]]:
    """Differences of each dataset: its own effect, the luck of each seed, which nested draws of all N share, and noise.

    Args:
        rng: what draws.
        pairs: number of N of each dataset, each with five seeds.
        effect: the true one, mean over datasets.
        between: standard deviation over datasets.
        within: of a seed's luck, and of the noise.
    """
    found = {}
    for i, sizes in enumerate(pairs):
        luck = effect + between * rng.standard_normal() + within * rng.standard_normal(5)
        found[str(i)] = [float(value) for value in (luck + within * rng.standard_normal((sizes, 5))).ravel()]
    return found


def rejection_rate(p_value: Callable[[np.random.Generator], float | None], simulations: int) -> float:
    """Share of simulations with p below the level."""
    rng = np.random.default_rng(0)
    p_values = [p_value(rng) for _ in range(simulations)]
    return sum(p is not None and p < LEVEL for p in p_values) / simulations
