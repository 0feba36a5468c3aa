"""Answers of two columns to the same examples, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.leaderboard.results.outcomes import Outcomes


class Answers(NamedTuple):
    """Of one column, to n examples with each of S seeds."""

    correct: NDArray[np.bool_]  # [S, n]
    confidence: NDArray[np.float64]  # [S, n], NaN where it is not known
    hits: NDArray[np.bool_]  # [S, n]: whether what the confidence is of is right, see `Outcomes.hits`


@dataclass(frozen=True)
class Pairs:
    seeds: tuple[int | None, ...]  # that both have; None where neither draws anything
    answers: Answers
    against: Answers
    unmatched: int  # seeds that only one of the two has
    refused: tuple[str, ...]  # why other seeds are not compared, a line each

    @property
    def sides(self) -> tuple[Answers, Answers]:
        return self.answers, self.against

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether both have a confidence [S, n]."""
        known: NDArray[np.bool_] = ~np.isnan(self.answers.confidence) & ~np.isnan(self.against.confidence)
        return known

    @property
    def calibrated(self) -> bool:
        """Whether each seed has an example whose confidence both know."""
        return bool(self.known.any(axis=1).all())

    @property
    def known_by_either(self) -> bool:
        """Whether there is any confidence at all: of some benchmarks and models there is none."""
        return not all(np.isnan(side.confidence).all() for side in self.sides)

    @property
    def accuracy_differences(self) -> NDArray[np.float64]:
        """Right or not, less the same of the other [S, n]."""
        return self.answers.correct.astype(np.float64) - self.against.correct.astype(np.float64)


def match(by_seed: Mapping[int | None, Outcomes], against: Mapping[int | None, Outcomes]) -> Pairs:
    """The seeds that both have, on the same examples.

    What has no seed, such as `no_icl`, is one evaluation and stands beside every seed of the other.
    """
    left, right = _for_seeds_of(by_seed, against), _for_seeds_of(against, by_seed)
    common = sorted(left.keys() & right.keys(), key=lambda seed: -1 if seed is None else seed)
    seeds: list[int | None] = []
    refused = []
    for seed in common:
        first = left[seeds[0]] if seeds else left[seed]
        name = "no seed" if seed is None else f"seed {seed}"
        if left[seed].gold_sha256 != right[seed].gold_sha256:
            refused.append(f"{name}: the two answered other examples (the right answers differ)")
        elif left[seed].gold_sha256 != first.gold_sha256:
            refused.append(f"{name}: answered other examples than seed {seeds[0]} (the right answers differ)")
        else:
            seeds.append(seed)
    return Pairs(
        seeds=tuple(seeds),
        answers=_stacked(left, seeds),
        against=_stacked(right, seeds),
        unmatched=len(left.keys() ^ right.keys()),
        refused=tuple(refused),
    )


def _for_seeds_of(
    by_seed: Mapping[int | None, Outcomes], other: Mapping[int | None, Outcomes]
) -> Mapping[int | None, Outcomes]:
    if set(by_seed) == {None} and other:
        return dict.fromkeys(other, by_seed[None])
    return by_seed


def _stacked(by_seed: Mapping[int | None, Outcomes], seeds: list[int | None]) -> Answers:
    if not seeds:
        return Answers(np.zeros((0, 0), dtype=bool), np.zeros((0, 0)), np.zeros((0, 0), dtype=bool))
    own = [by_seed[seed] for seed in seeds]
    return Answers(
        np.stack([each.correct for each in own]),
        np.stack([each.confidence for each in own]),
        np.stack([each.hits for each in own]),
    )
