"""How far the model's answers to the same prompts have moved."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

from ia2_eval.leaderboard.results.read import Sample
from ia2_eval.scoring.samples import GenerationSample, LabelSample

SCORING_ROUNDS = 1e-6
"""By which a confidence may differ that is computed from the same log-likelihoods."""


class Moved(NamedTuple):
    examples: int
    moved: int  # of another text or score, or with log-likelihoods that differ by more than is allowed
    farthest: float  # largest difference of a log-likelihood, in nats
    predictions: int = 0  # of the moved ones, those with another prediction

    def __str__(self) -> str:
        if not self.moved:
            return f"all {self.examples} answers are the same"
        by = f", log-likelihoods by up to {self.farthest:.2g} nats" if self.farthest else ""
        return f"{self.moved} of {self.examples} answers differ ({self.predictions} predictions{by})"


def moved(before: tuple[Sample, ...], after: tuple[Sample, ...], tolerance: float) -> Moved:
    """
    Args:
        before: rows of the reference.
        after: rows of the rerun, of the same prompts.
        tolerance: in nats; 0 asks for the same bits of everything that a row says.
    """
    distances = [_distance(a, b) for a, b in zip(before, after, strict=True)]
    known = [distance for distance in distances if distance is not None]
    if tolerance == 0:
        count = sum(_row(a) != _row(b) for a, b in zip(before, after, strict=True))
    else:
        count = sum(distance is None or distance > tolerance for distance in distances)
    predictions = sum(a.prediction != b.prediction for a, b in zip(before, after, strict=True))
    return Moved(len(distances), count, max(known, default=0.0), predictions)


def _row(sample: Sample) -> Sample:
    """What a reference keeps of a row."""
    return sample.model_copy(update={"next_token": None}) if isinstance(sample, LabelSample) else sample


def _distance(before: Sample, after: Sample) -> float | None:
    """Largest difference of a log-likelihood, in nats; None where another text was written or scoring was another.

    A predicted label is not compared: it follows from the log-likelihoods, and which of two equal ones wins is chance.
    """
    distance: float | None
    if isinstance(before, LabelSample) and isinstance(after, LabelSample):
        if before.correct_full_vocab != after.correct_full_vocab:
            return None
        distance, terms = _largest(before.log_likelihoods, after.log_likelihoods), 1
    else:
        assert isinstance(before, GenerationSample) and isinstance(after, GenerationSample)
        if before.prediction != after.prediction:
            return None
        tokens = before.token_log_likelihoods or ()
        distance, terms = _largest(tokens, after.token_log_likelihoods or ()), len(tokens)
    if distance is None or before.correct != after.correct:
        return None
    if (before.confidence is None) != (after.confidence is None):
        return None
    # exp is flat below 0, so a confidence moves by no more than its log-likelihoods together do.
    explained = terms * distance + SCORING_ROUNDS
    return distance if abs((before.confidence or 0) - (after.confidence or 0)) <= explained else None


def _largest(before: Sequence[float], after: Sequence[float]) -> float | None:
    """None where there are more or fewer, or one is no number."""
    if len(before) != len(after):
        return None
    distance = max((0.0 if a == b else abs(a - b) for a, b in zip(before, after, strict=True)), default=0.0)
    return None if any(map(isnan, after)) else distance
