"""Everything that is recorded, from rows: against plain loops, and the same again from rows that were written."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.bootstrap import bootstrap_interval, mirrored
from ia2_eval.scoring.calibration import ece_of, expected_calibration_error, noise_floor
from ia2_eval.scoring.metrics import Measured, measure_generations, measure_labels
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood, NextToken
from ia2_eval.scoring.samples import GenerationSample, LabelSample, generation_sample, label_sample
from ia2_eval.scoring.temperature import fit_temperature

HASH_LINE, HASH_TEXT = ANSWER_FORMATS["hash_line"], ANSWER_FORMATS["hash_text"]
OF_LABELS = set(
    "acc acc_full_vocab ece ece_mass ece_noise_floor mce ece_classwise brier nll auroc "
    "acc_at_coverage_50 acc_at_coverage_80".split()
)
PUBLISHED = {"acc_published", "ece_published", "entropy_published"}
SCALED = {"temperature", "temperature_dev_n", "ece_scaled", "nll_scaled", "brier_scaled"}
OF_PAIRS = set("ece ece_mass ece_noise_floor mce brier auroc acc_at_coverage_50 acc_at_coverage_80".split())
WITHOUT_INTERVAL = set(
    "ece_noise_floor ece_n ece_agreement_n entropy_published temperature temperature_dev_n unparsed tokens".split()
)
AGREEMENT = {"ece_agreement", "auroc_agreement", "ece_agreement_n"}


def labels(k: int) -> tuple[str, ...]:
    return tuple(map(str, range(k)))


def label_rows(n: int, k: int = 4, seed: int = 0, published: bool = True) -> list[LabelSample]:
    """Answers of a model that is too sure of itself."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        scores = rng.normal(size=k) * 2
        gold = int(rng.choice(k, p=np.exp(scores) / np.exp(scores).sum()))
        top = np.sort(rng.dirichlet(np.ones(12)))[::-1][:10]
        token = NextToken(f" {scores.argmax()}" if rng.random() < 0.9 else "the", tuple(np.log(top).tolist()))
        pairs = [(3 * score - 1, bool(score == scores.max() and token.text != "the")) for score in scores.tolist()]
        answers = [LogLikelihood(pair, token) for pair in pairs] if published else pairs
        rows.append(label_sample(f"query {i}", answers, labels(k), gold))
    return rows


def generation_rows(n: int, seed: int = 0, tokens: bool = True, sampled: int = 0) -> list[GenerationSample]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        gold, answer = rng.integers(3, size=2).tolist()
        marker = " ####" if rng.random() < 0.8 else " about"
        parts, log_p = ["so", marker, f" {answer}", "\n"], np.log(rng.uniform(0.3, 1, size=4)).tolist()
        ends = tuple(np.cumsum([len(part) for part in parts]).tolist())
        text: str = GeneratedText("".join(parts), ends, tuple(log_p)) if tokens else "".join(parts)
        others = [f"#### {rng.integers(3)}" for _ in range(sampled)]
        rows.append(generation_sample(f"query {i}", text, f"#### {gold}", HASH_LINE, "strict", others))
    return rows


def softmax(row: Sequence[float], temperature: float = 1.0) -> list[float]:
    weights = [math.exp((value - max(row)) / temperature) for value in row]
    return [weight / sum(weights) for weight in weights]


def test_label_metrics_equal_plain_loops() -> None:
    rows = label_rows(120)
    metrics = measure_labels(rows, labels(4)).metrics
    assert set(metrics) == OF_LABELS | PUBLISHED
    distributions = [softmax(row.log_likelihoods) for row in rows]
    gold = [int(row.gold) for row in rows]
    confidence = [max(p) for p in distributions]
    correct = [p.index(max(p)) == g for p, g in zip(distributions, gold, strict=True)]
    assert metrics["acc"] == pytest.approx(np.mean(correct))
    assert metrics["acc_full_vocab"] == pytest.approx(np.mean([row.correct_full_vocab for row in rows]))
    assert metrics["ece"] == pytest.approx(expected_calibration_error(confidence, correct), abs=1e-12)
    assert metrics["ece_mass"] == pytest.approx(expected_calibration_error(confidence, correct, equal_mass=True))
    assert metrics["ece_noise_floor"] == pytest.approx(noise_floor(confidence), rel=1e-6)
    brier = [sum((q - (j == g)) ** 2 for j, q in enumerate(p)) for p, g in zip(distributions, gold, strict=True)]
    assert metrics["brier"] == pytest.approx(np.mean(brier))
    assert metrics["nll"] == pytest.approx(np.mean([-math.log(p[g]) for p, g in zip(distributions, gold, strict=True)]))
    per_label = [expected_calibration_error([p[j] for p in distributions], [g == j for g in gold]) for j in range(4)]
    assert metrics["ece_classwise"] == pytest.approx(np.mean(per_label))
    assert metrics["auroc"] == pytest.approx(roc_auc_score(correct, confidence))
    surest = sorted(zip(confidence, correct, strict=True), reverse=True)
    assert metrics["acc_at_coverage_50"] == pytest.approx(np.mean([hit for _, hit in surest[:60]]))
    assert metrics["acc_at_coverage_80"] == pytest.approx(np.mean([hit for _, hit in surest[:96]]))


def test_published_metrics_equal_plain_loops() -> None:
    rows = label_rows(120)
    metrics = measure_labels(rows, labels(4)).metrics
    tokens = [row.next_token for row in rows if row.next_token]
    top = [[math.exp(value) for value in token.top_log_probabilities] for token in tokens]
    confidence = [p[0] / sum(p) for p in top]
    correct = [token.text.strip() == row.gold for token, row in zip(tokens, rows, strict=True)]
    assert metrics["acc_published"] == np.mean(correct) < metrics["acc"]
    expected = expected_calibration_error(confidence, correct, equal_mass=True)
    assert metrics["ece_published"] == pytest.approx(expected)
    entropies = [-sum(q / sum(p) * math.log(q / sum(p)) for q in p) for p in top]
    assert metrics["entropy_published"] == pytest.approx(np.mean(entropies))


def test_published_metrics_need_every_sample() -> None:
    rows = label_rows(29) + label_rows(1, published=False)
    assert set(measure_labels(rows, labels(4)).metrics) == OF_LABELS


def test_temperature_scaling_stands_beside() -> None:
    rows, dev = label_rows(300), label_rows(48, seed=1)
    plain, scaled = (measure_labels(rows, labels(4), given).metrics for given in ((), dev))
    assert set(scaled) == set(plain) | SCALED
    assert {name: scaled[name] for name in plain} == plain
    temperature = fit_temperature([row.log_likelihoods for row in dev], [int(row.gold) for row in dev])
    assert scaled["temperature"] == temperature and 1.5 < temperature < 6  # they are three times too sure
    assert scaled["temperature_dev_n"] == 48
    distributions = [softmax(row.log_likelihoods, temperature) for row in rows]
    nll = [-math.log(p[int(row.gold)]) for p, row in zip(distributions, rows, strict=True)]
    assert scaled["nll_scaled"] == pytest.approx(np.mean(nll)) and scaled["nll_scaled"] < scaled["nll"]
    correct = [row.correct for row in rows]
    expected = expected_calibration_error([max(p) for p in distributions], correct)
    assert scaled["ece_scaled"] == pytest.approx(expected, abs=1e-9) and expected < scaled["ece"]
    brier = [
        sum((q - (str(j) == row.gold)) ** 2 for j, q in enumerate(p))
        for p, row in zip(distributions, rows, strict=True)
    ]
    assert scaled["brier_scaled"] == pytest.approx(np.mean(brier))


def test_dev_rows_may_have_the_first_few_labels() -> None:
    metrics = measure_labels(label_rows(30, k=4), labels(4), label_rows(20, k=2)).metrics
    assert metrics["temperature_dev_n"] == 20


def test_what_is_not_defined_is_absent() -> None:
    right = [label_sample("", [(-0.1, True), (-3.0, False)], labels(2), 0)] * 5
    measured = measure_labels(right, labels(2))
    assert set(measured.metrics) == OF_LABELS - {"auroc"}
    assert measured.intervals["acc"] == (1.0, 1.0) and "auroc" not in measured.intervals
    with pytest.raises(ValueError, match="no samples"):
        measure_labels([], labels(2))
    with pytest.raises(ValueError, match="no samples"):
        measure_generations([], HASH_LINE, "strict")


@pytest.mark.filterwarnings("error")
def test_an_impossible_gold_label_makes_nll_infinite_and_nothing_else() -> None:
    rows = [*label_rows(10, k=2), label_sample("", [(-0.1, True), (-math.inf, False)], labels(2), 1)]
    measured = measure_labels(rows, labels(2), rows)
    infinite = {name for name, value in measured.metrics.items() if math.isinf(value)}
    assert infinite == {"nll", "nll_scaled"}
    assert not infinite & set(measured.intervals)
    assert measured.metrics["temperature"] == 1.0


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_intervals_hold_their_metrics(protocol: Protocol) -> None:
    for measured in (
        measure_labels(label_rows(80), labels(4), label_rows(20, seed=2)),
        measure_generations(generation_rows(80, sampled=3), HASH_LINE, protocol),
    ):
        assert set(measured.intervals) == set(measured.metrics) - WITHOUT_INTERVAL
        for name, (lower, upper) in measured.intervals.items():
            assert lower <= measured.metrics[name] <= upper, name
            assert lower < upper


def test_the_interval_of_ece_is_that_of_calibration() -> None:
    rows = label_rows(80)
    confidence, correct = [row.confidence for row in rows], [row.correct for row in rows]
    error = expected_calibration_error(confidence, correct)
    expected = mirrored(bootstrap_interval(ece_of(confidence, correct), 80), error)[:2]
    assert measure_labels(rows, labels(4)).intervals["ece"] == pytest.approx(expected, abs=1e-12)


def test_generation_metrics_equal_plain_loops() -> None:
    rows = generation_rows(90, sampled=3)
    metrics = measure_generations(rows, HASH_LINE, "strict").metrics
    assert set(metrics) == {"acc", "unparsed", "tokens", "ece_n"} | AGREEMENT | OF_PAIRS
    assert metrics["acc"] == pytest.approx(np.mean([row.correct for row in rows]))
    assert metrics["tokens"] == 4
    answered = [row for row in rows if "####" in row.prediction]
    assert metrics["unparsed"] == pytest.approx(1 - len(answered) / 90) and 0 < len(answered) < 90
    assert metrics["ece_n"] == len(answered)
    # The answer is the third of the four tokens.
    confidence = [math.exp(row.token_log_likelihoods[2]) for row in answered if row.token_log_likelihoods]
    correct = [row.correct for row in answered]
    assert metrics["ece"] == pytest.approx(expected_calibration_error(confidence, correct), abs=1e-12)
    assert metrics["ece_mass"] == pytest.approx(expected_calibration_error(confidence, correct, equal_mass=True))
    assert metrics["brier"] == pytest.approx(np.mean([(p - c) ** 2 for p, c in zip(confidence, correct, strict=True)]))
    assert metrics["auroc"] == pytest.approx(roc_auc_score(correct, confidence))
    agreement = [sum(other.split()[-1] == row.prediction.split()[-1] for other in row.sampled) / 3 for row in answered]
    assert metrics["ece_agreement"] == pytest.approx(expected_calibration_error(agreement, correct), abs=1e-12)
    assert metrics["ece_agreement_n"] == len(answered)
    assert metrics["auroc_agreement"] == pytest.approx(roc_auc_score(correct, agreement))


def test_without_tokens_generated_answers_have_no_calibration() -> None:
    plain = measure_generations(generation_rows(20, tokens=False), HASH_LINE, "strict").metrics
    assert set(plain) == {"acc", "unparsed"}
    mixed = measure_generations(generation_rows(20, tokens=False) + generation_rows(20), HASH_LINE, "strict").metrics
    assert mixed["ece_n"] < 20 and "tokens" not in mixed, "a mean length only where all are known"
    agreeing = measure_generations(generation_rows(20, tokens=False, sampled=2), HASH_LINE, "strict").metrics
    assert set(agreeing) == {"acc", "unparsed"} | AGREEMENT
    silent = [generation_sample("", GeneratedText("", (), ()), "#### 1", HASH_LINE, "strict")] * 3
    assert measure_generations(silent, HASH_LINE, "strict").metrics == {"acc": 0, "unparsed": 1, "tokens": 0}


def test_agreement_is_of_the_readable_answers_and_calibration_of_the_marked_ones() -> None:
    texts = [GeneratedText(text, (len(text),), (-0.1,)) for text in ("#### 5", "#### x+1", "nothing")]
    rows = [generation_sample("", text, "#### 5", HASH_LINE, "strict", ["#### 5"]) for text in texts]
    metrics = measure_generations(rows, HASH_LINE, "strict").metrics
    assert (metrics["ece_n"], metrics["ece_agreement_n"]) == (2, 1)
    unreadable = measure_generations(rows[1:], HASH_LINE, "strict").metrics
    assert not AGREEMENT & set(unreadable)


def test_the_normalised_form_is_measured_where_there_is_one() -> None:
    rows = [generation_sample("", text, "#### oil", HASH_TEXT, "strict") for text in ("#### Oil.", "#### oil", "oil")]
    assert measure_generations(rows, HASH_TEXT, "strict").metrics == {
        "acc": pytest.approx(1 / 3),
        "unparsed": pytest.approx(1 / 3),
        "acc_normalised": pytest.approx(2 / 3),
    }


def test_the_published_evaluation_reads_to_the_first_blank_line() -> None:
    rows = [generation_sample("", "Four.\n\n#### 4", "#### 4", HASH_LINE, protocol) for protocol in ("strict", "paper")]
    assert measure_generations(rows[:1], HASH_LINE, "strict").metrics["acc"] == 1
    assert measure_generations(rows[1:], HASH_LINE, "paper").metrics["acc"] == 0


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_written_rows_measure_the_same_to_the_last_digit(protocol: Protocol) -> None:
    rows, dev = label_rows(60), label_rows(20, seed=3)
    texts = [row.rescored(HASH_LINE, protocol) for row in generation_rows(60, sampled=2)]

    def measure(rows: list[LabelSample], dev: list[LabelSample], texts: list[GenerationSample]) -> tuple[Measured, ...]:
        return measure_labels(rows, labels(4), dev), measure_generations(texts, HASH_LINE, protocol)

    read, read_dev = ([LabelSample.model_validate_json(row.model_dump_json()) for row in part] for part in (rows, dev))
    read_texts = [GenerationSample.model_validate_json(row.model_dump_json()) for row in texts]
    assert measure(read, read_dev, read_texts) == measure(rows, dev, texts)
    anew = (
        [row.rescored(labels(4)) for row in read],
        read_dev,
        [row.rescored(HASH_LINE, protocol) for row in read_texts],
    )
    assert measure(*anew) == measure(rows, dev, texts)


def test_measuring_is_fast() -> None:
    rows, dev = label_rows(500, k=8), label_rows(48, k=8, seed=1)
    measure_labels(rows[:5], labels(8), dev)  # imports
    start = time.process_time()
    measure_labels(rows, labels(8), dev)
    assert time.process_time() - start < 0.5
