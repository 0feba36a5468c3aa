"""Every metric that is recorded or reported, computed from rows; so `rescore` gives what the run itself gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import AnswerFormat, scored_text
from ia2_eval.scoring.bootstrap import Statistic, bootstrap_interval, estimate, mean_of, mirrored
from ia2_eval.scoring.calibration import classwise_ece_of, ece_of, mce_of, netcal_ece, noise_floor
from ia2_eval.scoring.discrimination import auroc_of, selective_accuracy_of
from ia2_eval.scoring.published import published_confidence, published_correct, published_entropy
from ia2_eval.scoring.samples import GenerationSample, LabelSample
from ia2_eval.scoring.temperature import fit_temperature

COVERAGES = (0.5, 0.8)


@dataclass
class Measured:
    """Metrics by name, and the 95 % bootstrap intervals over examples of those that have one.

    A metric that is not defined, or that the rows do not tell, has no key.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, name: str, statistic: Statistic, n: int, *, error: bool = False, value: float | None = None) -> None:
        """Measure a statistic of n examples.

        `error` marks a calibration error, which is biased upwards; `value` is the metric where it was computed
        elsewhere.
        """
        value = estimate(statistic, n) if value is None else value
        if value != value:  # not defined
            return
        self.metrics[name] = value
        if isfinite(value):
            interval = bootstrap_interval(statistic, n)
            if error:
                interval = mirrored(interval, value)
            if isfinite(interval.lower):
                self.intervals[name] = (interval.lower, interval.upper)

    def add_calibration(self, name: str, confidence: Sequence[float], correct: Sequence[bool]) -> None:
        """Equal-width ECE, by netcal."""
        value = netcal_ece(confidence, correct)
        self.add(name, ece_of(confidence, correct), len(correct), error=True, value=value)

    def add_confidence(self, confidence: Sequence[float], correct: Sequence[bool]) -> None:
        """What pairs (confidence, correct) tell, whatever the answers are."""
        n = len(correct)
        self.add_calibration("ece", confidence, correct)
        self.add("ece_mass", ece_of(confidence, correct, equal_mass=True), n, error=True)
        self.metrics["ece_noise_floor"] = noise_floor(confidence)
        self.add("mce", mce_of(confidence, correct), n, error=True)
        self.add("auroc", auroc_of(confidence, correct), n)
        for coverage in COVERAGES:
            statistic = selective_accuracy_of(confidence, correct, coverage)
            self.add(f"acc_at_coverage_{round(100 * coverage)}", statistic, n)


def measure_labels(samples: Sequence[LabelSample], labels: Sequence[str], dev: Sequence[LabelSample] = ()) -> Measured:
    """Metrics of examples whose answer is one of `labels`, under either protocol: the published ones stand beside the
    others where the rows tell them.

    Args:
        samples: rows, of which only what the model said is read.
        labels: in the order of the rows' log-likelihoods.
        dev: rows to fit a temperature to, none to fit none. Their labels may be the first few of `labels`, as where a
            model was trained on another benchmark.

    Raises:
        ValueError: no samples, or rows that do not fit the labels.
    """
    n = _count(samples)
    predictions = [sample.predicted(labels) for sample in samples]
    correct = [prediction.correct for prediction in predictions]
    measured = Measured()
    measured.add("acc", mean_of(correct), n)
    measured.add("acc_full_vocab", mean_of([sample.correct_full_vocab for sample in samples]), n)
    measured.add_confidence([prediction.confidence for prediction in predictions], correct)
    gold = [labels.index(sample.gold) for sample in samples]
    probabilities = [prediction.probabilities for prediction in predictions]
    measured.add("ece_classwise", classwise_ece_of(probabilities, gold), n, error=True)
    measured.add("brier", mean_of([prediction.brier for prediction in predictions]), n)
    measured.add("nll", mean_of([prediction.nll for prediction in predictions]), n)
    _add_published(measured, samples)
    if dev:
        _add_scaled(measured, samples, labels, dev)
    return measured


def measure_generations(
    samples: Sequence[GenerationSample], answer_format: AnswerFormat, protocol: Protocol
) -> Measured:
    """Metrics of examples whose answer is marked in a generated text.

    Calibration is that of the examples whose confidence is known: they are `ece_n`. An answer of the paper's parsers
    has none where it is not that of the first mark (`AnswerFormat.located`). Agreement is that of the examples with an
    answer: they are `ece_agreement_n`.

    Args:
        samples: rows as `rescored` leaves them under this format and protocol.
        answer_format: of the benchmark.
        protocol: whose parsers read the texts.

    Raises:
        ValueError: no samples.
    """
    n = _count(samples)
    texts = [scored_text(sample.prediction, protocol) for sample in samples]
    measured = Measured()
    measured.add("acc", mean_of([sample.correct for sample in samples]), n)
    measured.metrics["unparsed"] = sum(not answer_format.parse(text, protocol) for text in texts) / n
    if answer_format.normalise is not None:
        normalised = [
            answer_format.correct_normalised(text, sample.gold, protocol)
            for sample, text in zip(samples, texts, strict=True)
        ]
        measured.add("acc_normalised", mean_of(normalised), n)
    lengths = [len(sample.token_ends) for sample in samples if sample.token_ends is not None]
    if len(lengths) == n:
        measured.metrics["tokens"] = sum(lengths) / n
    answered = [(sample.confidence, sample.correct) for sample in samples if sample.confidence is not None]
    if answered:
        confidence, correct = zip(*answered, strict=True)
        measured.metrics["ece_n"] = float(len(answered))
        measured.add_confidence(confidence, correct)
        squared = [(p - hit) ** 2 for p, hit in answered]
        measured.add("brier", mean_of(squared), len(answered))
    agreeing = [(sample.agreement, sample.correct) for sample in samples if sample.agreement is not None]
    if agreeing:
        agreement, correct = zip(*agreeing, strict=True)
        measured.metrics["ece_agreement_n"] = float(len(agreeing))
        measured.add_calibration("ece_agreement", agreement, correct)
        measured.add("auroc_agreement", auroc_of(agreement, correct), len(agreeing))
    return measured


def _add_published(measured: Measured, samples: Sequence[LabelSample]) -> None:
    """Only where every sample has what they need."""
    tokens = [sample.next_token for sample in samples if sample.next_token is not None]
    if len(tokens) < len(samples):
        return
    n = len(samples)
    correct = [published_correct(token, sample.gold) for token, sample in zip(tokens, samples, strict=True)]
    confidence = [published_confidence(token) for token in tokens]
    measured.add("acc_published", mean_of(correct), n)
    measured.add("ece_published", ece_of(confidence, correct, equal_mass=True), n, error=True)
    measured.metrics["entropy_published"] = sum(published_entropy(token) for token in tokens) / n


def _add_scaled(
    measured: Measured,
    samples: Sequence[LabelSample],
    labels: Sequence[str],
    dev: Sequence[LabelSample],
) -> None:
    """After temperature scaling. The intervals take the temperature as given."""
    gold = [labels.index(sample.gold) for sample in dev]
    temperature = fit_temperature([sample.log_likelihoods for sample in dev], gold)
    measured.metrics["temperature"] = temperature
    measured.metrics["temperature_dev_n"] = float(len(dev))
    scaled = [sample.predicted(labels, temperature) for sample in samples]
    correct = [prediction.correct for prediction in scaled]
    measured.add_calibration("ece_scaled", [prediction.confidence for prediction in scaled], correct)
    measured.add("brier_scaled", mean_of([prediction.brier for prediction in scaled]), len(scaled))
    measured.add("nll_scaled", mean_of([prediction.nll for prediction in scaled]), len(scaled))


def _count(samples: Sequence[object]) -> int:
    if not samples:
        raise ValueError("there are no samples to measure")
    return len(samples)
