"""How far the model's answers to the same prompts have moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ia2_eval.leaderboard.results.read import Sample
from ia2_eval.scoring.samples import GenerationSample, LabelSample

SCORING_ROUNDS = 1e-6
"""By which a confidence may differ that is computed from the same log-likelihoods."""


class Moved(NamedTuple):
    examples: int
    moved: int  # of another text or score, or with log-likelihoods that differ by more than is allowed
    farthest: float  # largest difference of a log-likelihood, in nats

    def __str__(self) -> str:
        if not self.moved:
            return f"all {self.examples} answers are the same"
        by = f", log-likelihoods by up to {self.farthest:.2g} nats" if self.farthest else ""
        return f"{self.moved} of {self.examples} answers differ{by}"


def moved(before: tuple[Sample, ...], after: tuple[Sample, ...], tolerance: float) -> Moved:
    """
    Args:
        before: rows of the reference.
        after: rows of the rerun, of the same prompts.
        tolerance: in nats; 0 asks for the same bits.
    """
    distances = [_distance(a, b) for a, b in zip(before, after, strict=True)]
    finite = [distance for distance in distances if distance is not None]
    count = sum(distance is None or distance > tolerance for distance in distances)
    return Moved(len(distances), count, max(finite, default=0.0))


def _distance(before: Sample, after: Sample) -> float | None:
    """Largest difference of a log-likelihood, in nats; None where another text was written or scoring was another.

    A predicted label is not compared: it follows from the log-likelihoods, and which of two equal ones wins is chance.
    """
    distance: float | None
    if isinstance(before, LabelSample) and isinstance(after, LabelSample):
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
    if len(before) != len(after):
        return None
    return max((0.0 if a == b else abs(a - b) for a, b in zip(before, after, strict=True)), default=0.0)
