"""vLLM does not run everywhere: lm-eval's class for it is driven against a stand-in."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ia2_training.adapters import Ia3Adapter, LoraAdapter
from rich.console import Console

from ia2_eval.adapters.evaluate import evaluate_adapters
from ia2_eval.adapters.settings import EvaluationSettings
from ia2_eval.adapters.stored import StoredAdapter, find_adapters
from ia2_eval.adapters.vllm_adapters import VLLMAdapters, required_rank
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, locate
from tests.adapters.small_adapters import store

TASKS = ("ia2_embedded_mood", "ia2_embedded_arithmetic")


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The stand-in, installed."""
    installed = tmp_path_factory.mktemp("installed")
    (installed / "vllm-0.11.0.dist-info").mkdir()
    (installed / "vllm-0.11.0.dist-info" / "METADATA").write_text("Name: vllm\nVersion: 0.11.0\n")
    paths = [str(Path(__file__).parent / "stand_ins"), str(installed)]
    sys.path[:0] = paths
    yield importlib.import_module("vllm")
    for path in paths:
        sys.path.remove(path)
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[StoredAdapter]:
    directory = tmp_path_factory.mktemp("adapters")
    store(LoraAdapter(r=4), directory / "one", seed=1)
    store(LoraAdapter(r=12), directory / "two", seed=2)
    return find_adapters([str(directory / "one"), str(directory / "two")])


def settings(out: Path, **changes: Any) -> EvaluationSettings:
    return EvaluationSettings(base="embedded", tasks=TASKS, out=out, limit=6, **changes)


def metrics(out: Path, name: str) -> dict[str, tuple[float, float | None]]:
    (path,) = (out / name).glob("results_*.json")
    found = json.loads(path.read_bytes())["results"]
    return {task: (values["acc,none"], values.get("ece,none")) for task, values in found.items()}


def answers(out: Path, name: str, task: str) -> list[list[str]]:
    (path,) = (out / name).glob(f"samples_{task}_*.jsonl")
    return [json.loads(line)["filtered_resps"] for line in path.read_text().splitlines()]


def test_one_engine_gets_one_request_per_adapter(vllm: Any, stored: list[StoredAdapter], tmp_path: Path) -> None:
    console, cache = Console(quiet=True), tmp_path / "cache"
    asked = settings(tmp_path / "vllm", model="vllm", use_cache=cache)
    assert evaluate_adapters(asked, stored, True, console) == 0
    (engine,) = vllm.ENGINES
    arguments = {name: engine.arguments[name] for name in ("model", "dtype", "enable_lora", "max_lora_rank")}
    assert arguments == {
        "model": str(MODEL_DIRECTORY),
        "dtype": "float32",
        "enable_lora": True,
        "max_lora_rank": 16,
    }
    requests = [
        vllm.lora.request.LoRARequest(adapter.name, number, str(adapter.directory))
        for number, adapter in enumerate(stored, start=1)
    ]
    # The base answers both tasks and the probe; each adapter the probe and both tasks.
    assert engine.calls == [None, None, None, *[requests[0]] * 3, *[requests[1]] * 3]

    assert evaluate_adapters(settings(tmp_path / "hf"), stored, True, console) == 0
    for name in ("base", "one", "two"):
        assert metrics(tmp_path / "vllm", name)["ia2_embedded_mood"] == pytest.approx(
            metrics(tmp_path / "hf", name)["ia2_embedded_mood"], abs=1e-4
        )
        mine, theirs = (answers(tmp_path / model, name, "ia2_embedded_arithmetic") for model in ("hf", "vllm"))
        for (short,), (text,) in zip(mine, theirs, strict=True):
            assert text.startswith(short)  # ia2-hf stops where the score is decided
    likelihoods = [answers(tmp_path / "vllm", name, "ia2_embedded_mood") for name in ("base", "one", "two")]
    assert likelihoods[0] != likelihoods[1] != likelihoods[2] != likelihoods[0]

    again = settings(tmp_path / "again", model="vllm", use_cache=cache)
    assert evaluate_adapters(again, stored, False, console) == 0
    assert len(vllm.ENGINES[-1].calls) == 3  # only what the guards ask; all else is in the cache
    assert metrics(tmp_path / "again", "two") == metrics(tmp_path / "vllm", "two")
    assert answers(tmp_path / "again", "one", TASKS[1]) == answers(tmp_path / "vllm", "one", TASKS[1])


def test_the_weights_are_split_over_the_gpus_that_are_asked_for(
    vllm: Any, stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for number in (1, 2):
        asked = settings(tmp_path / str(number), model="vllm", tensor_parallel=number)
        assert evaluate_adapters(asked, stored[:1], False, Console(quiet=True)) == 0
        assert vllm.ENGINES[-1].arguments["tensor_parallel_size"] == number
        (path,) = (tmp_path / str(number) / "one").glob("results_*.json")
        told = json.loads(path.read_bytes())["config"]["model_args"]
        assert told.get("tensor_parallel_size", 1) == number
    with pytest.raises(UserError, match=r"--tensor-parallel 3: 2 GPUs are present. Give 2 at most"):
        evaluate_adapters(settings(tmp_path, model="vllm", tensor_parallel=3), stored, False, Console(quiet=True))
    with pytest.raises(UserError, match="--tensor-parallel 3: 2 GPUs"):
        VLLMAdapters(locate(Base(model="embedded")), stored, None, 3)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    VLLMAdapters(locate(Base(model="embedded")), stored, None, 1)  # vLLM runs on other devices too


def test_another_number_of_gpus_is_the_same_evaluation(tmp_path: Path) -> None:
    one, two = (settings(tmp_path, model="vllm", tensor_parallel=number) for number in (1, 2))
    assert one.identity("base", None, {}) == two.identity("base", None, {})


def test_one_process_evaluates(stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in group.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="2 processes were started for `ia2-eval evaluate`, which runs in one"):
        evaluate_adapters(settings(tmp_path / "out"), stored, False, Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_is_not_applied(
    vllm: Any, stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm, "BROKEN", True)
    adapters = VLLMAdapters(locate(Base(model="embedded")), stored, None)
    with pytest.raises(UserError, match="'one' is attached but changes nothing"), adapters.adapted(stored[0]):
        pytest.fail("evaluated")
    with adapters.adapted(None) as lm:
        assert lm.lora_request is None


def test_in_half_precision_only_an_adapter_that_hardly_moved_may_be_without_effect(
    vllm: Any,
    stored: list[StoredAdapter],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(vllm, "BROKEN", True)
    (hardly,) = find_adapters([str(store(LoraAdapter(), tmp_path / "hardly", scale=1e-5))])
    adapters = VLLMAdapters(locate(Base(model="embedded", dtype="bfloat16")), [hardly, *stored], None)
    with caplog.at_level(logging.WARNING), adapters.adapted(hardly):
        assert "'hardly' changes no logit of a few fixed tokens" in caplog.text
    with pytest.raises(UserError, match="'one' is attached but changes nothing"), adapters.adapted(stored[0]):
        pytest.fail("evaluated")


def test_an_untrained_adapter(vllm: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (untrained,) = find_adapters([str(store(LoraAdapter(), tmp_path / "new", scale=0))])
    adapters = VLLMAdapters(locate(Base(model="embedded")), [untrained], 2)
    with caplog.at_level(logging.WARNING), adapters.adapted(untrained) as lm:
        assert lm.lora_request.lora_name == "new"
        assert lm.batch_size == 2
    assert "the adapter 'new' changes nothing" in caplog.text


def test_without_the_extra(stored: list[StoredAdapter], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ia2_eval.adapters.vllm_adapters.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'ia2-eval\[vllm\]'"):
        VLLMAdapters(locate(Base(model="embedded")), stored, None)


def with_configuration(directory: Path, **content: Any) -> StoredAdapter:
    directory.mkdir()
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8} | content))
    return StoredAdapter(directory.name, directory)


@pytest.mark.parametrize(
    ("content", "rank"),
    [({}, 8), ({"r": 9}, 16), ({"r": 1}, 8), ({"r": 8, "rank_pattern": {"q_proj": 40}}, 64), ({"r": 512}, 512)],
)
def test_the_rank_that_vllm_is_started_with(content: dict[str, Any], rank: int, tmp_path: Path) -> None:
    small = with_configuration(tmp_path / "small", r=2)
    assert required_rank([with_configuration(tmp_path / "a", **content), small]) == rank
    assert required_rank([]) == 8


def test_adapters_that_vllm_cannot_run_are_listed_before_anything_is_loaded(tmp_path: Path) -> None:
    faulty = {
        "dora": {"use_dora": True},
        "head": {"modules_to_save": ["lm_head"]},
        "bias": {"bias": "all"},
        "large": {"r": 1024},
        "ia3": {"peft_type": "IA3"},
    }
    adapters = [with_configuration(tmp_path / name, **content) for name, content in faulty.items()]
    with pytest.raises(UserError) as raised:
        required_rank([*adapters, with_configuration(tmp_path / "fine")])
    said = str(raised.value)
    assert "use --model ia2-hf" in said and "'fine'" not in said
    for part in ("DoRA", "trained whole: lm_head", "biases ('all')", "rank 1024", "of kind IA3"):
        assert part in said


def test_settings_that_vllm_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES"):
        settings(tmp_path, model="vllm", device="cpu")
    with pytest.raises(UserError, match=r"--tensor-parallel 2 is for vLLM: add --model vllm.*--device auto"):
        settings(tmp_path, tensor_parallel=2)
    with pytest.raises(UserError, match="--tensor-parallel is 0"):
        settings(tmp_path, model="vllm", tensor_parallel=0)
    with pytest.raises(UserError, match="merged"):
        settings(tmp_path, model="vllm", protocol="paper")
    (other,) = find_adapters([str(store(Ia3Adapter(), tmp_path / "ia3"))])
    with pytest.raises(UserError, match="runs LoRA only"):
        evaluate_adapters(settings(tmp_path / "out", model="vllm"), [other], False, Console(quiet=True))
