"""The tasks through lm-eval itself, with its weightless `dummy` model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.models.dummy import DummyLM
from lm_eval.tasks import TaskManager

from ia2_eval.benchmarks import (
    BENCHMARKS,
    draw_training_set,
    load_benchmark,
    per_query_demonstrations,
    with_demonstrations,
)
from ia2_eval.shipped import TASKS_DIRECTORY


@pytest.fixture(autouse=True)
def no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval logs the dummy model's tokenizer, which it would look for on the hub."""
    monkeypatch.setattr(DummyLM, "tokenizer", None)


def evaluate(tasks: Sequence[str], metadata: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata=metadata)
    results = lm_eval.simple_evaluate(
        model="dummy", tasks=list(tasks), task_manager=manager, bootstrap_iters=0, verbosity="ERROR", **kwargs
    )
    assert results is not None
    return dict(results)


def contexts(results: dict[str, Any], task: str) -> list[str]:
    """What the model was given for each query, in order."""
    samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
    return [sample["arguments"][0][0] for sample in samples]


@pytest.mark.parametrize(
    ("source", "evaluated", "task"),
    [
        ("sst2", "sst2", "ia2_sst2"),
        ("sciqr", "sciqr", "ia2_sciqr"),
        ("gsm8k", "gsm8k", "ia2_gsm8k"),
        ("sciq", "sciq", "ia2_sciq"),
        ("hmatha", "hmatha", "ia2_hmatha"),
        ("sst2", "poems", "ia2_sst2_to_poems"),
        ("sciqr", "qascr", "ia2_sciqr_to_qascr"),
        ("embedded_arithmetic", "embedded_arithmetic", "ia2_embedded_arithmetic"),
    ],
)
def test_few_shot_context_is_that_of_the_training_set(
    source: str, evaluated: str, task: str, invented_rows: Path
) -> None:
    metadata = {"ia2_data_dir": str(invented_rows), "ia2_seed": 1}
    given = contexts(evaluate([task], metadata, num_fewshot=4, limit=5), task)
    shown = draw_training_set(load_benchmark(source, invented_rows), 4, 1).demonstrations
    queries = load_benchmark(evaluated, invented_rows).evaluation[:5]
    assert given == [with_demonstrations(shown, query.prompt) for query in queries]


def test_paper_protocol_context(invented_rows: Path) -> None:
    metadata = {"ia2_data_dir": str(invented_rows), "ia2_seed": 1, "ia2_n": 4, "ia2_protocol": "paper"}
    given = contexts(evaluate(["ia2_gsm8k"], metadata, limit=5), "ia2_gsm8k")
    data = load_benchmark("gsm8k", invented_rows)
    shown = per_query_demonstrations(data, draw_training_set(data, 4, 1), 5)
    assert given == [
        with_demonstrations(*pair) for pair in zip(shown, (e.prompt for e in data.evaluation[:5]), strict=True)
    ]


@pytest.mark.parametrize("metadata", [{"ia2_n": 4}, {"ia2_n": 4, "ia2_protocol": "paper"}, {"ia2_protocol": "paper"}])
def test_more_demonstrations_than_asked_for_fail(metadata: dict[str, Any], invented_rows: Path) -> None:
    with pytest.raises(AssertionError, match=r"exceeds the [04] that are available"):
        evaluate(["ia2_sst2"], {"ia2_data_dir": str(invented_rows), **metadata}, num_fewshot=5, limit=2)


def test_all_tasks_run(invented_rows: Path) -> None:
    results = evaluate(
        ["ia2-all", "ia2-ood", "ia2-embedded"], {"ia2_data_dir": str(invented_rows)}, num_fewshot=2, limit=8
    )
    assert len(results["results"]) == 12 + 7 + sum(name.startswith("embedded_") for name in BENCHMARKS)
    for task, metrics in results["results"].items():
        benchmark = BENCHMARKS[task.removeprefix("ia2_").split("_to_")[-1]]
        if benchmark.single_token:
            for metric in ("acc", "acc_full_vocab", "ece", "ece_mass", "mce", "ece_classwise", "brier", "nll", "auroc"):
                assert isinstance(metrics[f"{metric},none"], float), (task, metric)
            for metric in ("ece", "ece_mass", "auroc"):
                assert isinstance(metrics[f"{metric}_stderr,none"], float), (task, metric)
            assert not any("published" in metric for metric in metrics), "the dummy model does not tell"
        else:
            assert {"acc,none", "unparsed,none"} <= set(metrics)
            assert not {"ece,none", "tokens,none"} & set(metrics)
            assert metrics["unparsed,none"] == 1.0  # the dummy model says `lol`
        shots = results["n-shot"][task]
        assert shots == (0 if task in {"ia2_poems", "ia2_bbcn", "ia2_qascr", "ia2_gsm8ks"} else 2)
        assert str(results["versions"][task]) == str(benchmark.version)


def test_the_pairs_behind_ece_are_in_the_samples(invented_rows: Path) -> None:
    results = evaluate(["ia2_agn"], {"ia2_data_dir": str(invented_rows)}, limit=6)
    samples = results["samples"]["ia2_agn"]
    assert len(samples) == 6
    for sample in samples:
        confidence, correct = sample["ece"]
        assert 0.25 <= confidence <= 1
        assert correct == sample["acc"]


def test_the_group_is_the_macro_mean(invented_rows: Path) -> None:
    results = evaluate(["ia2"], {"ia2_data_dir": str(invented_rows)}, limit=4)
    tasks = {name: metrics for name, metrics in results["results"].items() if name.startswith("ia2_")}
    assert len(tasks) == 12
    for group, metric, count in (("ia2", "acc,none", 12), ("ia2::labels", "ece,none", 8)):
        values = [metrics[metric] for metrics in tasks.values() if metric in metrics]
        assert len(values) == count
        assert results["groups"][group][metric] == pytest.approx(sum(values) / count)
    assert not any(
        name.startswith("ece") for name in {**results["groups"]["ia2"], **results["groups"]["ia2::generated"]}
    )


def test_real_rows() -> None:
    directory = Path(__file__).parents[3] / "shared" / "data"
    if not directory.is_dir():
        pytest.skip(f"real rows are not at {directory}")
    results = evaluate(["ia2-all", "ia2-ood"], {"ia2_data_dir": str(directory), "ia2_seed": 1}, num_fewshot=4, limit=2)
    assert len(results["results"]) == 19
    shown = draw_training_set(load_benchmark("hmatha", directory), 4, 1).demonstrations
    query = load_benchmark("hmatha", directory).evaluation[0]
    assert contexts(results, "ia2_hmatha")[0] == with_demonstrations(shown, query.prompt)


def lm_eval_command(*arguments: str, data_dir: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", *arguments, "--include_path", str(TASKS_DIRECTORY)],
        env={**os.environ, "IA2_DATA_DIR": str(data_dir), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lm_eval_validate(invented_rows: Path) -> None:
    said = lm_eval_command(
        "validate", "--tasks", "ia2,ia2-all,ia2-ood,ia2-embedded,ia2_mtbench_trial", data_dir=invented_rows
    )
    assert "All tasks found and valid" in said


def test_lm_eval_run_of_all_tasks(invented_rows: Path) -> None:
    table = lm_eval_command(
        *("run", "--model", "dummy", "--tasks", "ia2-all,ia2-ood,ia2-embedded,ia2_mtbench_trial", "--limit", "2"),
        *("--num_fewshot", "4", "--metadata", '{"ia2_seed": 1, "ia2_n": 4}'),
        data_dir=invented_rows,
    )
    assert re.search(r"\|ia2_sst2 *\| *1\|none *\| *4\|acc", table)
    assert re.search(r"\|ia2_poems *\| *1\|none *\| *0\|acc", table)
    assert re.search(r"\|ia2_mtbench_trial *\| *1\|none *\| *0\|empty", table)
