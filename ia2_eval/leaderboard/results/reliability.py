"""What a reliability diagram shows: confidences and correctness of a group's samples, in bins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import fsum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.headline import BinKind, Confidence
from ia2_eval.leaderboard.results.reported import reported_outcomes
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.scoring.calibration import Bin, expected_calibration_error, reliability_bins

CONFIDENCES: dict[Confidence, str] = {
    "label": "confidence (label-normalised)",
    "published": "confidence (probability of the most likely token / sum of the first ten), accuracy of that token",
    "answer": "confidence (probability of the written answer) where it is known",
}
"""What is on the axes, for readers."""


@dataclass(frozen=True)
class Reliability:
    """Samples of one group on one benchmark, pooled over the seeds at the reported learning rate."""

    bins: tuple[Bin, ...]  # none where no confidence is known
    ece: float | None  # of the pooled samples, so not the mean over seeds that the table shows
    seeds: int
    samples: int  # with those whose confidence is not known: without an answer, or of an old record

    @property
    def n(self) -> int:
        return sum(bin_.count for bin_ in self.bins)


class Bar(NamedTuple):
    """What is drawn of a bin, or of several of one and the same confidence."""

    left: float
    right: float
    samples: int
    confidence: float  # mean
    accuracy: float


def bars_of(bins: Iterable[Bin]) -> Iterator[Bar]:
    """Bars of the bins. An empty bin has none.

    Equal-mass bins of one and the same confidence are one bar: which of them an example is in was chance.
    """
    for (left, right), alike in groupby((bin_ for bin_ in bins if bin_.count), lambda bin_: (bin_.lower, bin_.upper)):
        members = [*alike]
        count = sum(bin_.count for bin_ in members)
        correct = fsum(bin_.count * (bin_.accuracy or 0.0) for bin_ in members)
        confidence = fsum(bin_.count * (bin_.confidence or 0.0) for bin_ in members)
        yield Bar(left, right, count, confidence / count, correct / count)


def pool(results: Results, group: Group, benchmark: str) -> tuple[Reliability | None, tuple[str, ...]]:
    """Reliability of a group at its headline learning rate, and faults of the sample files that cannot be used.

    Confidence and bins are those of the reported calibration error. None where there is no sample.
    """
    by_seed, faults = reported_outcomes(results, group, benchmark)
    if not by_seed:
        return None, faults
    confidence = np.concatenate([found.confidence for found in by_seed.values()])
    correct = np.concatenate([found.hits for found in by_seed.values()])
    return reliability(confidence, correct, group.headline(benchmark).bins, len(by_seed)), faults


def reliability(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: BinKind, seeds: int = 1
) -> Reliability:
    """
    Args:
        confidence: of the samples [n], NaN where it is not known.
        correct: whether they were answered rightly [n].
        bins: of the calibration error.
        seeds: that the samples are of.
    """
    known = ~np.isnan(confidence)
    if not known.any():
        return Reliability((), None, seeds, len(correct))
    equal_mass = bins == "equal-mass"
    return Reliability(
        tuple(reliability_bins(confidence[known], correct[known], equal_mass=equal_mass)),
        expected_calibration_error(confidence[known], correct[known], equal_mass=equal_mass),
        seeds,
        len(correct),
    )
