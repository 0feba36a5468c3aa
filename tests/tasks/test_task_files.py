"""The task files say what the registry says. lm-eval skips a broken file in silence, hence the exact lists."""

from __future__ import annotations

from typing import Any

import pytest
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from ia2_eval.benchmarks import BENCHMARKS
from ia2_eval.benchmarks.lm_eval_dataset import KEYS
from ia2_eval.benchmarks.selection import EvaluationOnly
from ia2_eval.scoring.lm_eval_metrics import process_generation, process_multiple_choice
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood, NextToken
from ia2_eval.shipped import TASKS_DIRECTORY

EMBEDDED = [name for name in BENCHMARKS if name.startswith("embedded_")]
TWELVE = [name for name in BENCHMARKS if name not in EMBEDDED]
PAIRS = [(source, other) for source in TWELVE for other in BENCHMARKS[source].out_of_distribution]

ALL = {f"ia2_{name}" for name in TWELVE}
OOD = {f"ia2_{source}_to_{other}" for source, other in PAIRS}
MTBENCH = {"ia2_mtbench", "ia2_mtbench_trial"}


def config(task: str) -> dict[str, Any]:
    return load_yaml(TASKS_DIRECTORY / f"{task}.yaml", resolve_func=False)


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False)


def test_the_index_holds_exactly_the_expected_names(manager: TaskManager) -> None:
    assert len(ALL) == 12 and len(OOD) == 7
    assert set(manager.all_subtasks) == ALL | OOD | MTBENCH | {f"ia2_{name}" for name in EMBEDDED}
    assert manager.all_groups == ["ia2"]
    assert set(manager.all_tags) == {"ia2-all", "ia2-ood", "ia2-embedded", "ia2-mtbench"}


def test_names_and_patterns_select_tasks(manager: TaskManager) -> None:
    tags = {tag: set(manager.task_index[tag].tags) for tag in manager.all_tags}
    embedded = {f"ia2_{name}" for name in EMBEDDED}
    assert tags == {"ia2-all": ALL, "ia2-ood": OOD, "ia2-embedded": embedded, "ia2-mtbench": MTBENCH}
    assert set(manager.match_tasks(["ia2_*"])) == set(manager.all_subtasks)  # a group among them would double tasks
    assert manager.match_tasks(["ia2"]) == ["ia2"]


def test_the_group_is_the_twelve() -> None:
    group = config("ia2")
    accuracy, calibration = ({"metric": metric, "weight_by_size": False} for metric in ("acc", "ece"))
    assert group["aggregate_metric_list"] == [accuracy]
    labels, generated = group["task"]
    assert labels["task"] + generated["task"] == [f"ia2_{name}" for name in TWELVE]
    assert all(BENCHMARKS[name.removeprefix("ia2_")].single_token for name in labels["task"])
    assert not any(BENCHMARKS[name.removeprefix("ia2_")].single_token for name in generated["task"])
    assert labels["aggregate_metric_list"] == generated["aggregate_metric_list"] == [accuracy, calibration]


@pytest.mark.parametrize(
    ("task", "source", "evaluated"),
    [(f"ia2_{name}", name, name) for name in BENCHMARKS] + [(f"ia2_{s}_to_{o}", s, o) for s, o in PAIRS],
)
def test_a_task_says_what_the_registry_says(task: str, source: str, evaluated: str) -> None:
    benchmark, said = BENCHMARKS[evaluated], config(task)
    alone = isinstance(BENCHMARKS[source].selection, EvaluationOnly)
    expected = {"version": benchmark.version, "ia2_source": source, "ia2_eval": evaluated}
    if alone:
        del expected["ia2_source"]
    assert said["task"] == task
    assert said["metadata"] == expected
    assert {key for key in expected if key.startswith("ia2_")} <= set(KEYS)
    assert (said.get("num_fewshot") == 0) == alone
    assert said["output_type"] == ("multiple_choice" if benchmark.single_token else "generate_until")
    if not benchmark.single_token:
        assert said["generation_kwargs"] == {
            "until": ["\n\n" if evaluated in EMBEDDED else "\n\nQuestion:"],
            "do_sample": False,
            "max_gen_toks": benchmark.max_new_tokens,
        }


def contributed(single_token: bool) -> list[str]:
    """What a document of a model that tells everything contributes to, in order."""
    token = NextToken("1", (-0.5, -1.5))
    doc = {"prompt": "Q", "choices": ["0", "1"], "gold": 1, "answer": "#### 1", "protocol": "strict"}
    if single_token:
        return list(process_multiple_choice(doc, [LogLikelihood((-1.0, True), token)] * 2))
    text = GeneratedText("#### 1", (5, 6), (-0.1, -0.2))
    return list(process_generation(doc | {"answer_format": "hash_text"}, [text]))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_metric_of_a_document_has_an_aggregation(name: str) -> None:
    """Without one lm-eval takes the mean, which fails on pairs."""
    metrics = config(f"ia2_{name}")["metric_list"]
    listed = [metric["metric"] for metric in metrics]
    assert sorted(listed) == sorted(contributed(BENCHMARKS[name].single_token))
    assert all(metric["aggregation"] and "higher_is_better" in metric for metric in metrics)


@pytest.mark.parametrize("single_token", [True, False])
def test_standard_errors_come_after_what_they_are_of(single_token: bool) -> None:
    """lm-eval writes "N/A" in their place with the metric itself."""
    names = contributed(single_token)
    errors = [name for name in names if name.endswith("_stderr")]
    assert {"ece_stderr", "ece_mass_stderr", "auroc_stderr"} <= set(errors)
    for error in errors:
        assert names.index(error.removesuffix("_stderr")) < names.index(error)
