"""The metrics as lm-eval calls them: by hand, and through lm-eval itself with models that tell much or little."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.models.dummy import DummyLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from numpy.typing import ArrayLike

from ia2_eval.scoring import lm_eval_metrics
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.bootstrap import bootstrap_interval
from ia2_eval.scoring.calibration import ece_of, expected_calibration_error
from ia2_eval.scoring.lm_eval_metrics import OF_PAIRS, process_generation, process_multiple_choice
from ia2_eval.scoring.metrics import Measured, measure_generations, measure_labels
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood, NextToken
from ia2_eval.scoring.samples import generation_sample, label_sample
from ia2_eval.shipped import TASKS_DIRECTORY

LABELS = ("0", "1")
DOC = {"prompt": "Q", "choices": ["0", "1"], "gold": 1, "answer": "1", "answer_format": "", "protocol": "strict"}
PUBLISHED = {"acc_published", "ece_published", "entropy_published"}
OF_GENERATIONS = {name for name in OF_PAIRS if not name.endswith("_stderr")} | {"brier"}


def ece_error(confidence: ArrayLike, correct: ArrayLike, equal_mass: bool = False) -> float:
    statistic = ece_of(confidence, correct, equal_mass=equal_mass)
    return bootstrap_interval(statistic, np.size(confidence)).standard_error


def test_multiple_choice_by_hand() -> None:
    metrics = process_multiple_choice(DOC, [(math.log(0.1), False), (math.log(0.3), False)])
    pair = pytest.approx((0.75, 1))
    assert metrics == {
        "acc": 1,
        "acc_full_vocab": 0,  # another token is the greedy one
        **dict.fromkeys(OF_PAIRS, pair),
        "ece_classwise": (pytest.approx((0.25, 0.75)), 1),
        "brier": pytest.approx(2 * 0.25**2),
        "nll": pytest.approx(-math.log(0.75)),
    }
    assert process_multiple_choice(DOC, [(-1.0, True), (-2.0, False)])["acc_full_vocab"] == 0
    assert process_multiple_choice(DOC, [(-2.0, False), (-1.0, True)])["acc_full_vocab"] == 1


def test_published_metrics_by_hand() -> None:
    token = NextToken(" 1", (math.log(0.4), math.log(0.2), math.log(0.1), math.log(0.1)))
    answers = [LogLikelihood((-1.0, False), token), LogLikelihood((-2.0, False), token)]
    plain, metrics = (
        process_multiple_choice(DOC, [(a[0], a[1]) for a in answers]),
        process_multiple_choice(DOC, answers),
    )
    assert plain["acc"] == plain["acc_full_vocab"] == 0  # the label 0, and the token with a space
    assert {name: metrics[name] for name in plain} == plain
    assert {name: value for name, value in metrics.items() if name not in plain} == {
        "acc_published": 1,
        "ece_published": pytest.approx((0.5, 1)),
        "ece_published_stderr": pytest.approx((0.5, 1)),
        "entropy_published": pytest.approx(1.75 * math.log(2)),
    }


def test_a_missing_choice_is_named() -> None:
    with pytest.raises(ValueError, match="1 results for the 2 labels"):
        process_multiple_choice(DOC, [(-1.0, True)])


@pytest.mark.parametrize(
    ("answer_format", "answer", "protocol", "response", "expected"),
    [
        ("hash_line", "#### 4", "strict", "#### 4.0\n", {"acc": 1, "unparsed": 0}),
        ("hash_line", "#### 4", "strict", "The answer is 4", {"acc": 0, "unparsed": 1}),
        ("hash_line", "#### 4", "paper", "The answer is 4", {"acc": 1, "unparsed": 0}),
        ("hash_line", "#### 4", "paper", "", {"acc": 0, "unparsed": 1}),
        # The published evaluation stops at a blank line, so an answer beyond it does not count; strict reads on.
        ("hash_line", "#### 4", "paper", "Four.\n\n#### 4\n", {"acc": 0, "unparsed": 0}),
        ("hash_line", "#### 4", "strict", "Four.\n\n#### 4\n", {"acc": 1, "unparsed": 0}),
        ("boxed", r"\boxed{4}", "paper", "4", {"acc": 0, "unparsed": 1}),
        ("hash_text", "#### oil", "strict", "#### Oil.", {"acc": 0, "unparsed": 0, "acc_normalised": 1}),
    ],
)
def test_generation(answer_format: str, answer: str, protocol: str, response: str, expected: dict[str, int]) -> None:
    doc = {"prompt": "Q", "answer_format": answer_format, "answer": answer, "protocol": protocol}
    assert process_generation(doc, [response]) == expected
    tokens = GeneratedText(response, (len(response),), (math.log(0.5),)) if response else GeneratedText("")
    told = process_generation(doc, [tokens])
    assert {name: told[name] for name in expected} == expected
    assert told["tokens"] == (1 if response else 0)
    if "ece" in told:
        assert told["ece"] == pytest.approx((0.5, expected["acc"]), abs=1e-6)
        assert told["brier"] == pytest.approx(0.25, abs=1e-6)
    located = ANSWER_FORMATS[answer_format].locate(response.partition("\n\n")[0] if protocol == "paper" else response)
    assert ("ece" in told) == (located is not None)


def test_the_paper_s_answer_has_the_confidence_of_no_other() -> None:
    text = "A: #### 5\nWait, that is wrong.\n#### 6"
    told = GeneratedText(text, (8, 9, 36, len(text)), (-0.01, -0.01, -0.01, -3.0))
    doc = {"prompt": "Q", "answer_format": "hash_line", "answer": "#### 6"}
    strict, paper = (process_generation(doc | {"protocol": protocol}, [told]) for protocol in ("strict", "paper"))
    assert strict["ece"] == pytest.approx((math.exp(-0.01), 0))
    assert paper["acc"] == 1 and not {*OF_PAIRS, "brier"} & set(paper)


def test_an_answer_of_no_confidence_counts() -> None:
    doc = {"prompt": "Q", "answer_format": "hash_line", "answer": "#### 4", "protocol": "strict"}
    assert process_generation(doc, [GeneratedText("#### 4", (6,), (-1e4,))])["ece"] == (0.0, 1)


def test_aggregations_are_the_measures_of_rows() -> None:
    """What lm-eval shows is what a record has."""
    rng = np.random.default_rng(0)
    rows, contributions = [], []
    for _ in range(60):
        token = NextToken(str(rng.integers(2)), tuple(np.sort(np.log(rng.dirichlet(np.ones(10))))[::-1].tolist()))
        answers = [LogLikelihood((score, score > -1), token) for score in rng.normal(-1, 1, size=2).tolist()]
        gold = int(rng.integers(2))
        rows.append(label_sample("Q", answers, LABELS, gold))
        contributions.append(process_multiple_choice(DOC | {"gold": gold}, answers))
    measured = measure_labels(rows, LABELS)
    assert {name for name in contributions[0] if not name.endswith("_stderr")} == set(measured.metrics)
    for name, value in measured.metrics.items():
        values = [contribution[name] for contribution in contributions]
        aggregation = "ece_mass" if name == "ece_published" else name
        aggregate = getattr(lm_eval_metrics, aggregation, None) or np.mean
        assert aggregate(values) == pytest.approx(value, abs=1e-12), name


def test_standard_errors_are_those_of_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.integers(2, size=50)
    pairs = list(zip(confidence.tolist(), correct.tolist(), strict=True))
    assert lm_eval_metrics.ece(pairs) == pytest.approx(expected_calibration_error(confidence, correct), abs=1e-12)
    assert lm_eval_metrics.ece_stderr(pairs) == ece_error(confidence, correct)
    mass = ece_error(confidence, correct, equal_mass=True)
    assert lm_eval_metrics.ece_mass_stderr(pairs) == mass
    # Hanley and McNeil 1982, with an area near 0.5 and 25 of each kind: about 0.08.
    assert lm_eval_metrics.auroc_stderr(pairs) == pytest.approx(0.08, abs=0.02)


def test_auroc_of_one_kind_is_not_a_number() -> None:
    assert math.isnan(lm_eval_metrics.auroc([(0.5, 1), (0.6, 1)]))
    assert math.isnan(lm_eval_metrics.auroc_stderr([(0.5, 1), (0.6, 1)]))


class Told(LM):  # type: ignore[misc]
    """A model that answers at random, with what `ia2-hf` tells (`carrying`), or without."""

    def __init__(self, carrying: bool) -> None:
        super().__init__()
        self.carrying = carrying

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        rng = np.random.default_rng(0)
        scores = rng.normal(-2, 1, len(requests)).tolist()
        top = np.sort(np.log(rng.dirichlet(np.ones(10), size=len(requests))))[:, ::-1].tolist()
        if not self.carrying:
            return [(score, False) for score in scores]
        tokens = {request.args[0]: NextToken(" 1", tuple(row)) for request, row in zip(requests, top, strict=True)}
        return [LogLikelihood((s, False), tokens[r.args[0]]) for s, r in zip(scores, requests, strict=True)]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        pytest.fail("no task of this package asks for it")

    def generate_until(self, requests: list[Any]) -> list[str]:
        rng = np.random.default_rng(0)
        parts = [["so", " ####" if rng.random() < 0.8 else " eh", f" {rng.integers(2)}"] for _ in requests]
        if not self.carrying:
            return ["".join(part) for part in parts]
        log_p = np.log(rng.uniform(0.3, 1, size=(len(requests), 3))).tolist()
        ends = [tuple(np.cumsum([len(token) for token in part]).tolist()) for part in parts]
        return [GeneratedText("".join(p), e, tuple(row)) for p, e, row in zip(parts, ends, log_p, strict=True)]


def load_documents(answer_format: str = "", **_: Any) -> Any:
    from datasets import Dataset, DatasetDict

    rows = [
        DOC | {"prompt": f"Text:{i}\nLabel:", "gold": i % 2, "answer": f"#### {i % 2}", "answer_format": answer_format}
        for i in range(40)
    ]
    return DatasetDict({"test": Dataset.from_list(rows)})


def run(base: str, model: Any, monkeypatch: pytest.MonkeyPatch, **task: Any) -> tuple[dict[str, Any], list[Any]]:
    """Results and samples of a task over one of the shipped base files."""
    monkeypatch.setattr(DummyLM, "tokenizer", None)  # it would be looked for on the hub
    config = load_yaml(TASKS_DIRECTORY / f"{base}.yaml", resolve_func=True)
    config |= {"task": "probe", "custom_dataset": load_documents, "fewshot_split": None, "doc_to_text": "{{prompt}}"}
    config |= {"metadata": {"version": 1.0}, **task}
    config.pop("fewshot_config")
    manager = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False)  # lm-eval's own take long to index
    outcome = simple_evaluate(model=model, tasks=[config], task_manager=manager, bootstrap_iters=10, log_samples=True)
    samples = sorted(outcome["samples"]["probe"], key=lambda sample: sample["doc_id"])
    results = {key.removesuffix(",none"): value for key, value in outcome["results"]["probe"].items()}
    return results, samples


def names(results: dict[str, Any]) -> set[str]:
    return {name for name in results if not name.endswith("_stderr")} - {"alias", "sample_len", "name", "sample_count"}


def assert_shown(results: dict[str, Any], measured: Measured) -> None:
    assert names(results) == set(measured.metrics) - {"ece_n"}
    for name in names(results):
        assert results[name] == pytest.approx(measured.metrics[name], abs=1e-12), name


def test_labels_of_a_model_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every metric of a record is in lm-eval's results, the standard errors too, and follows from the samples."""
    results, samples = run("_single_token", Told(carrying=True), monkeypatch)
    rows = [label_sample(s["doc"]["prompt"], s["filtered_resps"], LABELS, s["doc"]["gold"]) for s in samples]
    assert_shown(results, measure_labels(rows, LABELS))
    logged = json.loads(json.dumps(samples, default=str))
    assert len(logged) == 40
    confidence, correct = zip(*(sample["ece"] for sample in logged), strict=True)
    assert results["acc"] == np.mean(correct)
    assert results["ece_stderr"] == ece_error(confidence, correct)
    assert results["ece_mass_stderr"] == ece_error(confidence, correct, equal_mass=True)
    published, hits = zip(*(sample["ece_published"] for sample in logged), strict=True)
    assert results["ece_published_stderr"] == ece_error(published, hits, equal_mass=True)
    assert results["auroc_stderr"] == lm_eval_metrics.auroc_stderr(list(zip(confidence, correct, strict=True)))


@pytest.mark.parametrize("model", ["dummy", Told(carrying=False)], ids=["dummy", "plain"])
def test_labels_of_a_model_that_does_not_tell(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    results, samples = run("_single_token", model, monkeypatch)
    rows = [label_sample(s["doc"]["prompt"], s["filtered_resps"], LABELS, s["doc"]["gold"]) for s in samples]
    assert_shown(results, measure_labels(rows, LABELS))
    assert not PUBLISHED & names(results)
    assert not any("published" in name for name in results)


def test_generations_of_a_model_that_tells(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Calibration is that of the documents with an answer; lm-eval says that they are not all."""
    answer_format = ANSWER_FORMATS["hash_line"]
    metadata = {"version": 1.0, "answer_format": "hash_line"}
    caplog.set_level("WARNING", logger="lm_eval")  # a command of ours that ran before may have silenced it
    results, samples = run("_multi_token", Told(carrying=True), monkeypatch, metadata=metadata)
    rows = [
        generation_sample(s["doc"]["prompt"], s["filtered_resps"][0], s["doc"]["answer"], answer_format, "strict")
        for s in samples
    ]
    measured = measure_generations(rows, answer_format, "strict")
    assert_shown(results, measured)
    answered = sum("ece" in sample for sample in samples)
    assert 0 < answered == measured.metrics["ece_n"] < 40
    assert isinstance(results["ece_stderr"], float) and isinstance(results["auroc_stderr"], float)
    assert "not scored on the same number of documents" in caplog.text
    assert results["sample_len"] == 40


@pytest.mark.parametrize("model", ["dummy", Told(carrying=False)], ids=["dummy", "plain"])
@pytest.mark.parametrize("answer_format", ["hash_line", "hash_text"])
def test_generations_of_a_model_that_does_not_tell(
    model: Any, answer_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {"version": 1.0, "answer_format": answer_format}
    results, _ = run("_multi_token", model, monkeypatch, metadata=metadata)
    normalised = {"acc_normalised"} if answer_format == "hash_text" else set()
    assert names(results) == {"acc", "unparsed"} | normalised
