"""Whether each example was answered rightly, and with what confidence: what every comparison of methods needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.results.headline import Confidence, Headline
from ia2_eval.leaderboard.results.read import Sample
from ia2_eval.scoring.published import published_confidence, published_correct
from ia2_eval.scoring.samples import LabelSample


class Outcomes(NamedTuple):
    """Of the n examples of one evaluation, in their order."""

    correct: NDArray[np.bool_]  # [n]
    confidence: NDArray[np.float64]  # [n], NaN where it is not known
    gold_sha256: str
    """Of the right answers: what two evaluations on the same examples have in common, whatever their prompts."""
    label_correct: NDArray[np.bool_] | None = None
    """[n]; where the accuracy is `acc_full_vocab`, whether the best label is right, which the confidence is of."""

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether what the confidence is of is right [n]: what a calibration error compares it with."""
        return self.correct if self.label_correct is None else self.label_correct


def outcomes(samples: Sequence[Sample], reported: Headline, path: str) -> Outcomes:
    """
    Args:
        samples: rows of one evaluation.
        reported: which accuracy, and which confidence.
        path: of the rows, for messages.

    Raises:
        UserError: what the published quantities need is absent or no distribution.
    """
    pairs = [_pair(sample, reported.confidence, path) for sample in samples]
    hits = np.array([hit for _, hit in pairs], dtype=bool)
    full_vocabulary = reported.accuracy == "acc_full_vocab"
    return Outcomes(
        correct=np.array([_full_vocabulary(sample) for sample in samples], dtype=bool) if full_vocabulary else hits,
        confidence=np.array([np.nan if known is None else known for known, _ in pairs], dtype=np.float64),
        gold_sha256=hashlib.sha256("\0".join(sample.gold for sample in samples).encode()).hexdigest(),
        label_correct=hits if full_vocabulary else None,
    )


def _full_vocabulary(sample: Sample) -> bool:
    assert isinstance(sample, LabelSample)  # generated answers have no such accuracy
    return sample.correct_full_vocab


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
