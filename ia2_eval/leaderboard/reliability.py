"""What a reliability diagram shows: confidences and correctness of a group's samples, in bins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.groups import Group, evaluation_on
from ia2_eval.leaderboard.headline import Confidence
from ia2_eval.leaderboard.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.read import read_samples
from ia2_eval.scoring.calibration import Bin, expected_calibration_error, reliability_bins
from ia2_eval.scoring.published import published_confidence, published_correct
from ia2_eval.scoring.samples import GenerationSample, LabelSample

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


def pool(run_directory: Path, group: Group, benchmark: str) -> tuple[Reliability | None, list[str]]:
    """Reliability of a group at its headline learning rate, and faults of the sample files that cannot be used.

    Confidence and bins are those of the reported calibration error. None where there is no sample.
    """
    chosen = chosen_candidates(group, benchmark)
    selection = headline_selection(group.protocol, group.trained)
    reported = group.headline(benchmark)
    pairs: list[tuple[float, bool] | None] = []
    faults, seeds = [], 0
    for record in group.at(chosen[selection]) if selection in chosen else ():
        evaluation = evaluation_on(record, benchmark)
        if evaluation is None:
            continue
        try:
            samples = read_samples(run_directory, evaluation)
            pairs += [_pair(sample, reported.confidence, evaluation.samples) for sample in samples]
            seeds += 1
        except UserError as error:
            faults.append(str(error))
    if not pairs:
        return None, faults
    known = [pair for pair in pairs if pair is not None]
    if not known:
        return Reliability((), None, seeds, len(pairs)), faults
    confidence, correct = zip(*known, strict=True)
    equal_mass = reported.bins == "equal-mass"
    bins = tuple(reliability_bins(confidence, correct, equal_mass=equal_mass))
    ece = expected_calibration_error(confidence, correct, equal_mass=equal_mass)
    return Reliability(bins, ece, seeds, len(pairs)), faults


def _pair(sample: LabelSample | GenerationSample, kind: Confidence, path: str) -> tuple[float, bool] | None:
    """Confidence and correctness of one example; None where the confidence is not known.

    Raises:
        UserError: what the published quantities need is absent or no distribution.
    """
    if kind == "published":
        assert isinstance(sample, LabelSample)
        if sample.next_token is None:
            raise UserError(f"{path}: a row has no `next_token`, but its record has published metrics")
        try:
            return published_confidence(sample.next_token), published_correct(sample.next_token, sample.gold)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error
    return None if sample.confidence is None else (sample.confidence, sample.correct)
