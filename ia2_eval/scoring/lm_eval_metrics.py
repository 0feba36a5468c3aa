"""What the lm-eval tasks name by `!function`: per-document metrics and the aggregations lm-eval lacks.

Document columns: `prompt`, `answer`, `choices`, `gold`, `answer_format`, `protocol`.

ECE is not a mean over documents, so a document contributes its (confidence, correct) pair, which lm-eval also writes
into the samples file. lm-eval computes no standard error for custom metrics and stores "N/A" under `<metric>_stderr`;
a metric of just that name, computed later, takes the place. Hence `ece` comes before `ece_stderr` here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.answers import PAPER_STOP as PAPER_STOP
from ia2_eval.scoring.calibration import ece_interval, expected_calibration_error, netcal_ece
from ia2_eval.scoring.predictions import predict

Pair = tuple[float, int]
"""(confidence, correct) of one document."""


def process_multiple_choice(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Metrics of a document with one (log-likelihood, is greedy) per choice.

    Raises:
        ValueError: there is not one result per choice, or see `predict`.
    """
    if len(results) != len(doc["choices"]):
        raise ValueError(f"{len(results)} results for the {len(doc['choices'])} choices {doc['choices']}")
    gold = doc["gold"]
    prediction = predict([log_likelihood for log_likelihood, _ in results], gold)
    pair: Pair = (prediction.confidence, int(prediction.correct))
    return {
        "acc": int(prediction.correct),
        "acc_full_vocab": int(results[gold][1]),
        "ece": pair,
        "ece_stderr": pair,
        "ece_mass": pair,
        "ece_mass_stderr": pair,
        "brier": prediction.brier,
        "nll": prediction.nll,
    }


def process_generation(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Metrics of a document with one generated text; `acc_normalised` only for formats with a normalised form."""
    (response,) = results
    answer_format, gold, protocol = ANSWER_FORMATS[doc["answer_format"]], doc["answer"], doc["protocol"]
    if protocol == "paper":
        response = response.partition(PAPER_STOP)[0]
    metrics = {
        "acc": int(answer_format.correct(response, gold, protocol)),
        "unparsed": int(not answer_format.parse(response, protocol)),
    }
    if answer_format.normalise is not None:
        metrics["acc_normalised"] = int(answer_format.correct_normalised(response, gold, protocol))
    return metrics


def ece(pairs: Sequence[Pair]) -> float:
    """Expected calibration error over 15 equal-width bins, by netcal."""
    return netcal_ece(*_columns(pairs))


def ece_stderr(pairs: Sequence[Pair]) -> float:
    """Bootstrap standard error of `ece`."""
    return ece_interval(*_columns(pairs)).standard_error


def ece_mass(pairs: Sequence[Pair]) -> float:
    """Expected calibration error over 15 equal-mass bins."""
    return expected_calibration_error(*_columns(pairs), equal_mass=True)


def ece_mass_stderr(pairs: Sequence[Pair]) -> float:
    """Bootstrap standard error of `ece_mass`."""
    return ece_interval(*_columns(pairs), equal_mass=True).standard_error


def _columns(pairs: Sequence[Pair]) -> tuple[list[float], list[int]]:
    return [confidence for confidence, _ in pairs], [correct for _, correct in pairs]
