"""What the lm-eval tasks name by `!function`: per-document metrics and the aggregations lm-eval lacks.

Document columns: `prompt`, `answer`, `choices`, `gold`, `answer_format`, `protocol`.

A document contributes what it adds to a metric: a number to a mean, its (confidence, correct) pair to calibration and
discrimination; lm-eval writes both into the samples file. A metric that the model's answers do not tell (`published`
ones, calibration of generated answers) is not contributed to, and lm-eval then has no such metric in its results. One
that some documents contribute to is that of those documents, and lm-eval warns of the different numbers.

lm-eval computes no standard error for custom metrics and stores "N/A" under `<metric>_stderr`; a metric of just that
name, computed later, takes the place. Hence `ece` comes before `ece_stderr` here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ia2_eval.scoring.answers import ANSWER_FORMATS, scored_text
from ia2_eval.scoring.bootstrap import Statistic, bootstrap_interval, estimate
from ia2_eval.scoring.calibration import classwise_ece_of, ece_of, mce_of, netcal_ece, noise_floor
from ia2_eval.scoring.discrimination import auroc_of, selective_accuracy_of
from ia2_eval.scoring.published import published_confidence, published_correct, published_entropy
from ia2_eval.scoring.samples import generation_sample, label_sample

Pair = tuple[float, int]
"""(confidence, correct) of one document."""

OF_PAIRS = (
    *("ece", "ece_stderr", "ece_mass", "ece_mass_stderr", "ece_noise_floor", "mce"),
    *("auroc", "auroc_stderr", "acc_at_coverage_50", "acc_at_coverage_80"),
)
"""The metrics that (confidence, correct) pairs give."""


def process_multiple_choice(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Metrics of a document with one (log-likelihood, is greedy) per choice.

    Raises:
        ValueError: there is not one result per choice, or see `predict`.
    """
    labels = doc["choices"]
    sample = label_sample(doc["prompt"], results, labels, doc["gold"])
    prediction = sample.predicted(labels)
    pair: Pair = (sample.confidence, int(sample.correct))
    metrics: dict[str, Any] = {
        "acc": int(sample.correct),
        "acc_full_vocab": int(sample.correct_full_vocab),
        **dict.fromkeys(OF_PAIRS, pair),
        "ece_classwise": (prediction.probabilities, doc["gold"]),
        "brier": prediction.brier,
        "nll": prediction.nll,
    }
    if sample.next_token is not None:
        hit = int(published_correct(sample.next_token, sample.gold))
        published: Pair = (published_confidence(sample.next_token), hit)
        metrics |= {"acc_published": hit, "ece_published": published, "ece_published_stderr": published}
        metrics["entropy_published"] = published_entropy(sample.next_token)
    return metrics


def process_generation(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Metrics of a document with one generated text; `acc_normalised` only for formats with a normalised form.

    `tokens` needs a `GeneratedText`, calibration one whose confidence is known (`GenerationSample`).
    """
    (response,) = results
    answer_format, protocol = ANSWER_FORMATS[doc["answer_format"]], doc["protocol"]
    sample = generation_sample(doc["prompt"], response, doc["answer"], answer_format, protocol)
    text = scored_text(sample.prediction, protocol)
    metrics: dict[str, Any] = {
        "acc": int(sample.correct),
        "unparsed": int(not answer_format.parse(text, protocol)),
    }
    if answer_format.normalise is not None:
        metrics["acc_normalised"] = int(answer_format.correct_normalised(text, sample.gold, protocol))
    if sample.token_ends is not None:
        metrics["tokens"] = len(sample.token_ends)
    if sample.confidence is not None:
        pair: Pair = (sample.confidence, int(sample.correct))
        metrics |= {**dict.fromkeys(OF_PAIRS, pair), "brier": (sample.confidence - sample.correct) ** 2}
    return metrics


def ece(pairs: Sequence[Pair]) -> float:
    """Expected calibration error over 15 equal-width bins, by netcal."""
    return netcal_ece(*_columns(pairs))


def ece_stderr(pairs: Sequence[Pair]) -> float:
    """Bootstrap standard error of `ece`."""
    return _standard_error(ece_of(*_columns(pairs)), pairs)


def ece_mass(pairs: Sequence[Pair]) -> float:
    """Expected calibration error over 15 equal-mass bins."""
    return estimate(ece_of(*_columns(pairs), equal_mass=True), len(pairs))


def ece_mass_stderr(pairs: Sequence[Pair]) -> float:
    """Bootstrap standard error of `ece_mass`."""
    return _standard_error(ece_of(*_columns(pairs), equal_mass=True), pairs)


def ece_noise_floor(pairs: Sequence[Pair]) -> float:
    """Median `ece` of perfectly calibrated predictions with these confidences; it belongs to `ece` alone."""
    return noise_floor(_columns(pairs)[0])


def mce(pairs: Sequence[Pair]) -> float:
    """Maximum calibration error over 15 equal-width bins."""
    return estimate(mce_of(*_columns(pairs)), len(pairs))


def ece_classwise(distributions: Sequence[tuple[Sequence[float], int]]) -> float:
    """Class-wise calibration error, 15 equal-width bins, of (probabilities of the labels, index of the gold one)."""
    probabilities, gold = zip(*distributions, strict=True)
    return estimate(classwise_ece_of(probabilities, gold), len(gold))


def auroc(pairs: Sequence[Pair]) -> float:
    """AUROC of confidence for correctness; NaN where all documents are right or all are wrong."""
    return estimate(auroc_of(*_columns(pairs)), len(pairs))


def auroc_stderr(pairs: Sequence[Pair]) -> float:
    """Bootstrap standard error of `auroc`."""
    return _standard_error(auroc_of(*_columns(pairs)), pairs)


def acc_at_coverage_50(pairs: Sequence[Pair]) -> float:
    """Accuracy of the more confident half of the documents."""
    return estimate(selective_accuracy_of(*_columns(pairs), coverage=0.5), len(pairs))


def acc_at_coverage_80(pairs: Sequence[Pair]) -> float:
    """Accuracy of the four fifths of the documents with the most confidence."""
    return estimate(selective_accuracy_of(*_columns(pairs), coverage=0.8), len(pairs))


def _standard_error(statistic: Statistic, pairs: Sequence[Pair]) -> float:
    return bootstrap_interval(statistic, len(pairs)).standard_error


def _columns(pairs: Sequence[Pair]) -> tuple[list[float], list[int]]:
    return [confidence for confidence, _ in pairs], [correct for _, correct in pairs]
