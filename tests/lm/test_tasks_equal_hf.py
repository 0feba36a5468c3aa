"""Whole tasks with `ia2-hf` and with lm-eval's own `hf` on the same model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from ia2_eval.benchmarks import BENCHMARKS
from ia2_eval.scoring.answers import scored_end
from ia2_eval.shipped import TASKS_DIRECTORY
from tests.lm.equality import assert_same, ours

REAL_ROWS = Path(__file__).resolve().parents[3] / "shared" / "data"

TWELVE = [name for name in BENCHMARKS if not name.startswith("embedded")]
SOURCES = ("sst2", "fins", "stf", "agn", "sciqr", "gsm8k", "hmatha", "sciq")
PAIRS = ("sst2_to_fins", "sst2_to_poems", "agn_to_bbcn", "sciqr_to_qascr", "gsm8k_to_gsm8ks")


@pytest.fixture(autouse=True)
def no_description_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which lm-eval makes for every run, for a second."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)


def evaluated(lm: HFLM, tasks: Sequence[str], directory: Path, limit: int, **settings: Any) -> dict[str, Any]:
    metadata = {"ia2_data_dir": str(directory)} | settings.pop("metadata", {})
    results = lm_eval.simple_evaluate(
        lm,
        tasks=[f"ia2_{task}" for task in tasks],
        task_manager=TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata=metadata),
        limit=limit,
        bootstrap_iters=0,
        gen_kwargs={"max_gen_toks": 60},
        verbosity="ERROR",
        **settings,
    )
    assert results is not None
    return dict(results)


def assert_same_results(hf: HFLM, tasks: Sequence[str], directory: Path, limit: int, **settings: Any) -> None:
    """Metrics, choices and texts of `hf` and of `ia2-hf`."""
    plain, fast = (evaluated(lm, tasks, directory, limit, **settings) for lm in (hf, ours(hf)))
    for task in (f"ia2_{name}" for name in tasks):
        texts = plain["configs"][task]["output_type"] == "generate_until"
        metrics = [name for name in plain["results"][task] if name.endswith(",none") and "stderr" not in name]
        same = {"acc,none", "acc_full_vocab,none", "unparsed,none", "acc_normalised,none"}.intersection(metrics)
        assert len(same) >= 2
        assert {name: fast["results"][task][name] for name in same} == {
            name: plain["results"][task][name] for name in same
        }
        others = [name for name in metrics if isinstance(plain["results"][task][name], float)]
        assert texts or "ece,none" in others
        for name in others:
            assert fast["results"][task][name] == pytest.approx(plain["results"][task][name], abs=1e-5, nan_ok=True), (
                task,
                name,
            )
        for one, other in zip(plain["samples"][task], fast["samples"][task], strict=True):
            assert one["prompt_hash"] == other["prompt_hash"]
            if texts:
                end = scored_end(one["doc"]["answer_format"], one["doc"]["protocol"])
                (text,) = one["filtered_resps"]
                assert list(other["filtered_resps"]) == [text[: end(text)]]
            else:
                assert_same(other["filtered_resps"], one["filtered_resps"])


def test_every_benchmark_without_demonstrations(hf: HFLM, hub_rows: Path) -> None:
    assert len(TWELVE) == 12
    assert_same_results(hf, TWELVE, hub_rows, limit=5)


def test_every_benchmark_with_demonstrations(hf: HFLM, hub_rows: Path) -> None:
    assert_same_results(hf, [*SOURCES, *PAIRS], hub_rows, limit=5, num_fewshot=3)


def test_benchmarks_under_the_published_protocol(hf: HFLM, hub_rows: Path) -> None:
    metadata = {"ia2_protocol": "paper", "ia2_n": 3}
    assert_same_results(hf, ["sst2", "gsm8k", "hmatha", "sciq"], hub_rows, limit=5, metadata=metadata)


@pytest.mark.skipif(not REAL_ROWS.is_dir(), reason="the rows of the benchmarks are not part of the project")
@pytest.mark.parametrize("shots", [None, 2])
def test_real_rows(hf: HFLM, shots: int | None) -> None:
    tasks = [*SOURCES, "sciqr_to_qascr"] if shots else TWELVE
    assert_same_results(hf, tasks, REAL_ROWS, limit=2, num_fewshot=shots)
