from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import ia2_eval.lm.base_model as base_model
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, best_device, load, locate


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the embedded model that a test may change."""
    return Path(shutil.copytree(MODEL_DIRECTORY, tmp_path / "model"))


def test_the_embedded_model() -> None:
    found = locate(Base(model="embedded"))
    assert found.directory == MODEL_DIRECTORY
    assert len(found.base.fingerprint) == 64
    assert found.base == Base(model="embedded", fingerprint=found.base.fingerprint)


def test_a_local_directory_is_known_by_its_content(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = locate(Base(model="embedded")).base.fingerprint
    assert locate(Base(model=str(directory))).base.fingerprint == fingerprint
    monkeypatch.chdir(directory.parent)
    assert locate(Base(model="./model")).base.fingerprint == fingerprint
    assert locate(Base(model="model")).directory == Path("model")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_another_file_is_another_model(name: str, directory: Path) -> None:
    before = locate(Base(model=str(directory))).base.fingerprint
    content = bytearray((directory / name).read_bytes())
    content[-3] ^= 1
    (directory / name).write_bytes(content)
    assert locate(Base(model=str(directory))).base.fingerprint != before


def test_a_file_that_changes_nothing_is_no_other_model(directory: Path) -> None:
    before = locate(Base(model=str(directory))).base.fingerprint
    (directory / "README.md").write_text("notes")
    assert locate(Base(model=str(directory))).base.fingerprint == before


def test_a_fingerprint_in_a_recipe_is_a_demand(directory: Path) -> None:
    found = locate(Base(model=str(directory)))
    assert locate(found.base) == found
    with pytest.raises(UserError, match="has the fingerprint"):
        locate(Base(model=str(directory), fingerprint="0" * 64))


def refused(said: str, **base: Any) -> None:
    with pytest.raises(UserError, match=said):
        locate(Base(**base))


def test_what_is_no_model(directory: Path, tmp_path: Path) -> None:
    refused("there is no model directory", model=str(tmp_path / "none"))
    refused("there is no model directory", model="./none")
    refused("holds no config.json", model=str(tmp_path))
    refused("which has no revision 'main'", model="embedded", revision="main")
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    refused("holds no .safetensors weights", model=str(directory))


@pytest.mark.parametrize("name", ["nobody/no-such-model", "not a repository name!"])
def test_a_hub_model_out_of_reach(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused("(?s)cannot get the model.*embedded", model=name)


def test_a_hub_model_is_known_by_its_commit(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = directory.rename(directory.with_name("0123abcd"))
    asked: list[tuple[str, str | None, list[str]]] = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = locate(Base(model="some/model", revision="v1"))
    assert (found.base.fingerprint, found.directory) == ("0123abcd", snapshot)
    (snapshot / "model.safetensors").unlink()
    refused("holds no .safetensors weights", model="some/model", revision="v1")
    assert locate(Base(model="some/model", revision="v1"), weights=False) == found  # to plan, the commit is enough
    assert [question[:2] for question in asked] == [("some/model", "v1")] * 3
    assert "*.safetensors" in asked[0][2] and asked[2][2] == ["config.json"]


def test_load() -> None:
    loaded = load(locate(Base(model="embedded", dtype="bfloat16")), "cpu")
    assert not loaded.model.training
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.tokenizer.pad_token_id is not None


def test_spread_over_what_there_is() -> None:
    base_model.require_device("auto")
    spread, plain = (load(locate(Base(model="embedded", dtype="bfloat16")), device).model for device in ("auto", None))
    assert spread.device.type == plain.device.type
    assert {p.dtype for p in spread.parameters()} == {torch.bfloat16}
    assert not spread.training and not any(p.requires_grad for p in spread.parameters())
    state = plain.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in spread.state_dict().items())


def test_the_whole_model_must_be_on_devices_that_compute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    asked: list[object] = []
    read = AutoModelForCausalLM.from_pretrained

    def with_too_little_memory(directory: Path, device_map: object, **settings: Any) -> Any:
        asked.append(device_map)
        parts = ("model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head", "model.layers")
        spread = dict.fromkeys(parts, "cpu") | {"model.layers": "disk"}
        return read(directory, device_map=spread, offload_folder=tmp_path, **settings)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", with_too_little_memory)
    with pytest.raises(UserError, match="'embedded' in float32 does not fit into the devices"):
        load(locate(Base(model="embedded")), "auto")
    assert asked == ["auto"]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UserError, match="cannot use the device 'gpu': give cuda, mps, cpu or auto"):
        load(locate(Base(model="embedded")), "gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="cannot use the device 'cuda'"):
            load(locate(Base(model="embedded")), "cuda")


def test_the_best_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, best in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=cuda: present)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda present=mps: present)
        assert best_device() == best


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(locate(Base(model="embedded")), "cpu").model
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(base_model, "SMALL", model.num_parameters())
    base_model.use_threads_for(model)
    assert asked == []
    monkeypatch.setattr(base_model, "SMALL", model.num_parameters() + 1)
    base_model.use_threads_for(model)
    assert asked == [1]


def test_what_a_model_prescribes_for_chatting_is_dropped(directory: Path) -> None:
    config = directory / "generation_config.json"
    config.write_text('{"eos_token_id": [1, 2], "do_sample": true, "temperature": 0.6, "repetition_penalty": 1.5}')
    loaded = load(locate(Base(model=str(directory))), "cpu")
    kept = loaded.model.generation_config
    assert kept.eos_token_id == [1, 2] and kept.pad_token_id == loaded.tokenizer.pad_token_id
    assert kept.repetition_penalty in (None, 1.0) and not kept.do_sample
