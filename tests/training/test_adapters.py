from __future__ import annotations

import pytest
import torch
from ia2_training.adapters import Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers import PreTrainedModel

LINEAR = {"q_proj": (32, 32), "k_proj": (32, 16), "o_proj": (32, 32)}
"""Inputs and outputs; the models of these tests have two keys and values for four queries."""


def trained(model: PeftModel) -> dict[str, Tensor]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def test_lora_adapts_only_the_named_modules(model: PreTrainedModel) -> None:
    adapted = attach(model, LoraAdapter(r=3, alpha=6, modules=("v_proj", "up_proj")), seed=0)
    weights = trained(adapted)
    assert len(weights) == 2 * 2 * 2  # layers, modules, A and B
    assert all("v_proj" in name or "up_proj" in name for name in weights)
    assert {min(value.shape) for value in weights.values()} == {3}
    assert adapted.base_model.model.model.layers[0].self_attn.v_proj.scaling == {"default": 2.0}


@pytest.mark.parametrize("scale", ["outputs", "inputs"])
@torch.no_grad()
def test_ia3_scales_the_side_that_is_asked_for(model: PreTrainedModel, scale: str) -> None:
    linear = {name: getattr(model.model.layers[1].self_attn, name) for name in LINEAR}
    adapted = attach(model, Ia3Adapter(scale=scale), seed=0)  # type: ignore[arg-type]
    draws = torch.Generator().manual_seed(0)
    for name, (inputs, outputs) in LINEAR.items():
        layer = getattr(adapted.base_model.model.model.layers[1].self_attn, name)
        vector = layer.ia3_l["default"]
        assert vector.numel() == (outputs if scale == "outputs" else inputs)
        assert torch.equal(vector, torch.ones_like(vector))  # at the start nothing changes
        vector.copy_(torch.randn(vector.shape, generator=draws))
        x, l = torch.randn(5, inputs, generator=draws), vector.flatten()  # noqa: E741
        weight = linear[name].weight
        expected = l * (x @ weight.T) if scale == "outputs" else (l * x) @ weight.T
        torch.testing.assert_close(layer(x), expected)
    assert len(trained(adapted)) == 2 * len(LINEAR)


def test_virtual_tokens_have_the_size_of_what_they_stand_for(qwen3: PreTrainedModel) -> None:
    prompt = trained(attach(qwen3, PromptAdapter(5), seed=0))
    assert [value.shape for value in prompt.values()] == [(5, 32)]
    prefix = trained(attach(qwen3, PrefixAdapter(5), seed=0))
    assert [value.shape for value in prefix.values()] == [(5, 2 * 2 * 2 * 8)]  # layers, key and value, heads, width
    for (values,) in (prompt.values(), prefix.values()):  # drawn from N(0, 1)
        assert 0.9 < values.std() < 1.1 and values.mean().abs() < 0.15


def test_all_faults_of_an_adapter_at_once() -> None:
    with pytest.raises(ValueError, match=r"LoraAdapter: r = 0: .*; alpha = -1: .*; modules = \(\)"):
        LoraAdapter(r=0, alpha=-1, modules=())
    with pytest.raises(ValueError, match=r"Ia3Adapter: modules = \(\): .*; scale = 'weights': must be 'outputs' or"):
        Ia3Adapter(modules=(), scale="weights")  # type: ignore[arg-type]
    for kind in (PromptAdapter, PrefixAdapter):
        with pytest.raises(ValueError, match=rf"{kind.__name__}: virtual_tokens = 0: must be at least 1"):
            kind(0)


def test_an_adapter_type_is_one_class_with_one_method(model: PreTrainedModel) -> None:
    class RankStabilised:
        def peft_config(self) -> LoraConfig:
            return LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=4, target_modules=["q_proj"], use_rslora=True)

    adapted = attach(model, RankStabilised(), seed=0)
    assert adapted.base_model.model.model.layers[0].self_attn.q_proj.scaling == {"default": 2.0}
