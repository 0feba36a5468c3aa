"""The metrics as lm-eval calls them, by hand and through lm-eval itself."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from ia2_eval.scoring import lm_eval_metrics
from ia2_eval.scoring.calibration import ece_interval, expected_calibration_error
from ia2_eval.scoring.lm_eval_metrics import process_generation, process_multiple_choice

DOC = {"choices": ["0", "1"], "gold": 1, "answer": "1", "answer_format": "", "protocol": "strict"}


def test_multiple_choice_by_hand() -> None:
    metrics = process_multiple_choice(DOC, [(math.log(0.1), False), (math.log(0.3), False)])
    pair = pytest.approx((0.75, 1))
    assert metrics == {
        "acc": 1,
        "acc_full_vocab": 0,  # another token is the greedy one
        "ece": pair,
        "ece_stderr": pair,
        "ece_mass": pair,
        "ece_mass_stderr": pair,
        "brier": pytest.approx(2 * 0.25**2),
        "nll": pytest.approx(-math.log(0.75)),
    }
    assert process_multiple_choice(DOC, [(-1.0, True), (-2.0, False)])["acc_full_vocab"] == 0
    assert process_multiple_choice(DOC, [(-2.0, False), (-1.0, True)])["acc_full_vocab"] == 1


def test_a_missing_choice_is_named() -> None:
    with pytest.raises(ValueError, match="1 results for the 2 choices"):
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
    doc = {"answer_format": answer_format, "answer": answer, "protocol": protocol}
    assert process_generation(doc, [response]) == expected


def test_aggregations_are_the_calibration_measures() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.integers(2, size=50)
    pairs = list(zip(confidence.tolist(), correct.tolist(), strict=True))
    assert lm_eval_metrics.ece(pairs) == pytest.approx(expected_calibration_error(confidence, correct), abs=1e-12)
    assert lm_eval_metrics.ece_mass(pairs) == expected_calibration_error(confidence, correct, equal_mass=True)
    assert lm_eval_metrics.ece_stderr(pairs) == ece_interval(confidence, correct).standard_error
    mass = ece_interval(confidence, correct, equal_mass=True).standard_error
    assert lm_eval_metrics.ece_mass_stderr(pairs) == mass


def load_documents(**_: Any) -> Any:
    from datasets import Dataset, DatasetDict

    rows = [DOC | {"prompt": f"Text:{i}\nLabel:", "gold": i % 2, "answer": str(i % 2)} for i in range(40)]
    return DatasetDict({"test": Dataset.from_list(rows)})


def test_through_lm_eval() -> None:
    """The `ece` column shows the ECE and its standard error, and both follow from the logged samples."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM

    class Scores(LM):  # type: ignore[misc]
        """A model that scores requests at random and never greedily."""

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return [(score, False) for score in np.random.default_rng(0).normal(-2, 1, len(requests)).tolist()]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError

        def generate_until(self, requests: list[Any]) -> list[str]:
            raise NotImplementedError

    built_in = ("acc", "acc_full_vocab", "brier", "nll")
    custom = ("ece", "ece_stderr", "ece_mass", "ece_mass_stderr")
    metrics = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in built_in]
    metrics += [
        {"metric": name, "aggregation": getattr(lm_eval_metrics, name), "higher_is_better": False} for name in custom
    ]
    task = {
        "task": "scoring_probe",
        "custom_dataset": load_documents,
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "process_results": process_multiple_choice,
        "metric_list": metrics,
        "metadata": {"version": 1.0},
    }
    outcome = simple_evaluate(model=Scores(), tasks=[task], bootstrap_iters=10, log_samples=True)
    result = outcome["results"]["scoring_probe"]
    samples = json.loads(json.dumps(outcome["samples"]["scoring_probe"], default=str))
    confidence, correct = zip(*(sample["ece"] for sample in samples), strict=True)
    assert len(samples) == 40
    assert result["acc,none"] == np.mean(correct)
    assert result["brier,none"] == pytest.approx(np.mean([sample["brier"] for sample in samples]))
    assert result["ece,none"] == pytest.approx(expected_calibration_error(confidence, correct), abs=1e-12)
    assert result["ece_stderr,none"] == ece_interval(confidence, correct).standard_error
    assert result["ece_mass_stderr,none"] == ece_interval(confidence, correct, equal_mass=True).standard_error
