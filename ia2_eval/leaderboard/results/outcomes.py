"""Whether each example was answered rightly, and with what confidence: what every comparison of methods needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.results.headline import Confidence
from ia2_eval.leaderboard.results.read import Sample
from ia2_eval.scoring.published import published_confidence, published_correct
from ia2_eval.scoring.samples import LabelSample


class Outcomes(NamedTuple):
    """Of the n examples of one evaluation, in their order."""

    correct: NDArray[np.bool_]  # [n]
    confidence: NDArray[np.float64]  # [n], NaN where it is not known
    gold_sha256: str
    """Of the right answers: what two evaluations on the same examples have in common, whatever their prompts."""


def outcomes(samples: Sequence[Sample], kind: Confidence, path: str) -> Outcomes:
    """
    Args:
        samples: rows of one evaluation.
        kind: of the confidence; of `published` the accuracy is the published one, too.
        path: of the rows, for messages.

    Raises:
        UserError: what the published quantities need is absent or no distribution.
    """
    pairs = [_pair(sample, kind, path) for sample in samples]
    return Outcomes(
        correct=np.array([correct for _, correct in pairs], dtype=bool),
        confidence=np.array([np.nan if known is None else known for known, _ in pairs], dtype=np.float64),
        gold_sha256=hashlib.sha256("\0".join(sample.gold for sample in samples).encode()).hexdigest(),
    )


def _pair(sample: Sample, kind: Confidence, path: str) -> tuple[float | None, bool]:
    if kind != "published":
        return sample.confidence, sample.correct
    assert isinstance(sample, LabelSample)
    if sample.next_token is None:
        raise UserError(f"{path}: a row has no `next_token`, but its record has published metrics")
    try:
        return published_confidence(sample.next_token), published_correct(sample.next_token, sample.gold)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
