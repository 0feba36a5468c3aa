"""What is reported of a benchmark's answers: which accuracy, and which calibration error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.experiments.record import Evaluation
from ia2_eval.protocol import Protocol

Confidence = Literal["label", "published", "answer"]
"""`label`: probability of the best label among the labels. `published`: that of the most likely token of the
vocabulary / sum of the ten greatest. `answer`: probability of the answer that was written."""

BinKind = Literal["equal-width", "equal-mass"]


@dataclass(frozen=True)
class Headline:
    accuracy: str  # its name among the metrics of a record
    calibration: str  # likewise; the expected calibration error
    confidence: Confidence  # that it is of
    bins: BinKind  # that it is computed in


STRICT_LABELS = Headline("acc", "ece", "label", "equal-width")
STRICT_TEXTS = Headline("acc", "ece", "answer", "equal-width")
PUBLISHED = Headline("acc_published", "ece_published", "published", "equal-mass")
"""As published; only models that answer more than a number give these metrics."""


def headline(protocol: Protocol, single_token: bool, published: bool) -> Headline:
    """What every table, figure and choice by accuracy takes.

    Without the published quantities `paper` takes `acc_full_vocab`, which every model gives and which differs where
    another token, such as the label with a space, decodes to the label.

    Args:
        protocol: of the results.
        single_token: whether answers are labels of one token, not generated texts.
        published: whether all results that are compared have the published quantities, see `have_published`.
    """
    if protocol == "strict":
        return STRICT_LABELS if single_token else STRICT_TEXTS
    if not single_token:
        return Headline("acc", "ece_mass", "answer", "equal-mass")
    return PUBLISHED if published else Headline("acc_full_vocab", "ece_mass", "label", "equal-mass")


def have_published(evaluations: Iterable[Evaluation]) -> bool:
    """Whether each of the evaluations with answers of a single token, of which there is one, has what was published."""
    wanted = {PUBLISHED.accuracy, PUBLISHED.calibration}
    found = [wanted <= each.metrics.keys() for each in evaluations if get_benchmark(each.eval).single_token]
    return bool(found) and all(found)
