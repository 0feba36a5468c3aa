from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ia2_training.adapters import Adapter, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach, detach, save_adapter
from peft import LoraConfig, PeftConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.peft_adapters import attached

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def base() -> PreTrainedModel:
    return load(locate(Base(model="embedded")), "cpu").model


def moved(model: PreTrainedModel) -> PreTrainedModel:
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=draws))
    return model.eval()


def saved(config: PeftConfig, directory: Path) -> torch.Tensor:
    """An adapter of PEFT's own making, and the logits with it."""
    model = moved(get_peft_model(load(locate(Base(model="embedded")), "cpu").model, config))
    model.save_pretrained(directory)
    return logits(model)


@torch.no_grad()
def logits(model: PreTrainedModel) -> torch.Tensor:
    row = torch.arange(3, 15)[None]
    found: torch.Tensor = model(input_ids=row, attention_mask=torch.ones_like(row)).logits[:, -12:]
    return found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("adapter", [LoraAdapter(), Ia3Adapter(), PromptAdapter(3), PrefixAdapter(3)], ids=repr)
def test_our_adapters_are_what_they_were_when_stored(adapter: Adapter, dtype: str, tmp_path: Path) -> None:
    base = load(locate(Base.model_validate({"model": "embedded", "dtype": dtype})), "cpu").model
    plain, modules = logits(base), [name for name, _ in base.named_modules()]
    model = moved(attach(base, adapter, seed=0))
    expected = logits(model)
    save_adapter(model, tmp_path)
    detach(model)
    for _ in range(2):
        with attached(base, tmp_path) as again:
            assert torch.equal(logits(again), expected)
        assert torch.equal(logits(base), plain) and not torch.equal(plain, expected)
        assert [name for name, _ in base.named_modules()] == modules
        assert not any(parameter.requires_grad for parameter in base.parameters())


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": "all-linear", "modules_to_save": ["lm_head"], "use_rslora": True},
        {"target_modules": r".*\.q_proj", "use_dora": True},
        {"target_modules": ["embed_tokens", "q_proj"]},
    ],
    ids=str,
)
def test_adapters_of_others_leave_the_base_as_it_was(
    base: PreTrainedModel, settings: dict[str, object], tmp_path: Path
) -> None:
    plain = {name: value.clone() for name, value in base.named_parameters()}
    before = logits(base)
    expected = saved(LoraConfig(task_type="CAUSAL_LM", r=4, **settings), tmp_path)
    with attached(base, tmp_path) as again:
        assert torch.equal(logits(again), expected)
        assert not torch.equal(expected, before)
    assert {name for name, value in base.named_parameters() if torch.equal(value, plain[name])} == set(plain)
    assert torch.equal(logits(base), before)


def test_values_of_the_base_in_an_adapter_are_taken_back(base: PreTrainedModel, tmp_path: Path) -> None:
    before = logits(base)
    saved(LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"]), tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    weights["base_model.model.model.norm.weight"] = torch.full_like(base.model.norm.weight, 3)
    save_file(weights, tmp_path / WEIGHTS)
    with attached(base, tmp_path):
        assert (base.model.norm.weight == 3).all()
    assert torch.equal(logits(base), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: dict(list(weights.items())[:-2]), "lacks '.*lora.*' and 1 more"),
        (lambda weights: {name: value for name, value in weights.items() if "lora" in name}, "lm_head"),
        (
            lambda weights: (
                weights | {"base_model.model.model.layers.99.self_attn.q_proj.lora_A.weight": torch.ones(2)}
            ),
            r"has what the model lacks: '.*layers\.99\.",
        ),
        (
            lambda weights: {name: value[:, :2].contiguous() for name, value in weights.items()},
            r"size mismatch: \S+ has the shape \[(\d+), 2\] in the adapter and \[\1, 128\] in the model",
        ),
    ],
)
def test_an_adapter_of_another_model_is_refused_and_leaves_no_trace(
    base: PreTrainedModel, change: object, message: str, tmp_path: Path
) -> None:
    before, modules = logits(base), [name for name, _ in base.named_modules()]
    saved(LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], modules_to_save=["lm_head"]), tmp_path)
    save_file(change(load_file(tmp_path / WEIGHTS)), tmp_path / WEIGHTS)  # type: ignore[operator]
    with pytest.raises(UserError, match=f"does not fit this base model.*{message}"), attached(base, tmp_path):
        pytest.fail("attached")
    assert [name for name, _ in base.named_modules()] == modules
    assert torch.equal(logits(base), before)
    assert not hasattr(base, "peft_config")
