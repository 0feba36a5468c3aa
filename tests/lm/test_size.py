from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ia2_training import FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter, attach
from ia2_training.checkpointing import checkpointed
from tiny_models import SIZES, language_model, token_ids

import ia2_eval.lm.base_model as base_model
from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, BaseFiles, load, locate
from ia2_eval.lm.size import available_bytes, require_room, size_of, trainable_parameters


def written(directory: Path, kind: str = "llama", dtype: str = "float32", **settings: Any) -> BaseFiles:
    """A model directory of which nothing but the configuration is there."""
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(SIZES | {"model_type": kind} | settings))
    return BaseFiles(Base.model_validate({"model": str(directory), "dtype": dtype}), directory)


def test_published_sizes(tmp_path: Path) -> None:
    llama = {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
    size = size_of(written(tmp_path, dtype="bfloat16", **llama))
    assert size.parameters == 8_030_261_248  # of the checkpoint Llama-3.1-8B
    assert size.weight_bytes == 16_060_522_496
    assert size.key_value_bytes_per_token == 131072  # 2 * 32 layers * 8 heads * 128 * 2 bytes


def test_tied_embeddings_count_once(tmp_path: Path) -> None:
    untied, tied = (
        size_of(written(tmp_path, "qwen3", head_dim=8, tie_word_embeddings=tied)).parameters for tied in (False, True)
    )
    assert untied - tied == SIZES["vocab_size"] * SIZES["hidden_size"]


def test_the_embedded_model_is_what_it_is_said_to_be() -> None:
    files = locate(Base(model="embedded"))
    size, model = size_of(files), load(files, "cpu").model
    assert size.parameters == model.num_parameters()
    assert size.weight_bytes == sum(p.numel() * p.element_size() for p in model.parameters())
    assert size_of(locate(Base(model="embedded", dtype="bfloat16"))).weight_bytes * 2 == size.weight_bytes
    cache = model(torch.ones(1, 3, dtype=torch.int64), use_cache=True).past_key_values
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert size.key_value_bytes_per_token * 3 == stored


@pytest.mark.parametrize(
    "adapter",
    [
        LoraAdapter(r=4),
        LoraAdapter(modules=("gate_proj",)),
        Ia3Adapter(),
        PromptAdapter(3),
        PrefixAdapter(3),
        FullFineTuning(),
    ],
)
def test_trainable_parameters(adapter: Any) -> None:
    files = locate(Base(model="embedded"))
    adapted = attach(load(files, "cpu").model, adapter, seed=0)
    assert trainable_parameters(files, adapter) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def test_an_adapter_for_modules_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="no linear module named 'c_attn'"):
        trainable_parameters(locate(Base(model="embedded")), LoraAdapter(modules=("c_attn",)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_of_a_training_pass(dtype: str, checkpointing: bool, tmp_path: Path) -> None:
    shape = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 6}
    size = size_of(written(tmp_path, dtype=dtype, **shape))
    model = attach(language_model(**shape).to(getattr(torch, dtype)), LoraAdapter(), seed=0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}  # what stays in memory for the backward pass, each storage once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    rows = torch.tensor(token_ids(*[50] * 4))
    if checkpointing:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), checkpointed(model):
            model(rows, logits_to_keep=1, use_cache=False)
        layer_inputs = size.layers * rows.numel() * size.width * size.value_bytes
        assert layer_inputs < size.activation_bytes(rows.numel(), 4, checkpointing=True)
        assert size.activation_bytes(rows.numel(), 4, checkpointing=True) < size.activation_bytes(rows.numel(), 4) / 2
        return
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(rows, logits_to_keep=1, use_cache=False).logits.float().log_softmax(-1).sum()
        estimated = size.activation_bytes(rows.numel(), 4)
        assert estimated / 2 < sum(kept.values()) < estimated * 2
    assert loss.requires_grad


def test_room_to_the_byte(tmp_path: Path) -> None:
    base = Base(model="some/model", dtype="bfloat16")
    require_room(base, 3 << 30, 3 << 30, "cuda")
    with pytest.raises(UserError, match=r"3\.0 GiB, and the device 'cuda' has 2\.0 GiB free.*--device auto"):
        require_room(base, 3 << 30, 2 << 30, "cuda")
    with pytest.raises(UserError, match=r"all GPUs together have.*--gpus-per-worker") as refused:
        require_room(base, 3 << 30, 2 << 30, "auto")
    assert "bfloat16, half" not in str(refused.value)
    with pytest.raises(UserError, match=r"Use `dtype: bfloat16`, half the size, or a smaller model$"):
        require_room(Base(model="some/model"), 3 << 30, 2 << 30, "cpu")


def test_what_is_free() -> None:
    assert 0 < available_bytes("cpu") < 1 << 50
    assert available_bytes("cpu") == pytest.approx(available_bytes("cpu"), rel=0.5)


def test_all_gpus_count_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {0: 5, 1: 7, "cuda": 5}
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 4)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[device], 80))
    assert (available_bytes("auto"), available_bytes("cuda")) == (12 + 2 * 3, 5 + 3)  # what is held is as good as free


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_refused_before_anything_is_read(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", read)
    monkeypatch.setattr("ia2_eval.lm.size.available_bytes", lambda device: 1000)
    with pytest.raises(UserError, match="the model 'embedded' in float32 does not fit: its weights take"):
        base_model.load(locate(Base(model="embedded")), device)


def test_no_language_model(tmp_path: Path) -> None:
    files = BaseFiles(Base(model=str(tmp_path)), tmp_path)
    for content in ('{"model_type": "nonsense"}', "{}", "no json"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError, match=r"config\.json' is of no language model"):
            size_of(files)
