from __future__ import annotations

import copy
import warnings

import pytest
import torch
from ia2_training.adapters import Adapter, FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from peft import PeftModel
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.merged import merged_adapter

TOKENS = torch.arange(24).reshape(2, 12)


ADAPTERS = [LoraAdapter(), Ia3Adapter(), Ia3Adapter(scale="inputs")]


@pytest.fixture(params=["float32", "bfloat16"])
def base(request: pytest.FixtureRequest) -> PreTrainedModel:
    return load(locate(Base(model="embedded", dtype=request.param)), "cpu").model


@pytest.fixture(params=ADAPTERS, ids=repr)
def adapted(request: pytest.FixtureRequest, base: PreTrainedModel) -> PeftModel:
    """The embedded model with an adapter that changes it."""
    return changed(attach(base, request.param, seed=0))


def changed(model: PeftModel) -> PeftModel:
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_A" not in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))
    return model


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@torch.no_grad()
def logits(model: torch.nn.Module) -> Tensor:
    return model(TOKENS).logits  # type: ignore[no-any-return]


def test_inside_the_weights_are_merged_and_afterwards_as_before(adapted: PeftModel) -> None:
    before, unmerged = weights(adapted), logits(adapted)
    expected = logits(copy.deepcopy(adapted).merge_and_unload())
    for _ in range(2):
        with merged_adapter(adapted):
            assert torch.equal(logits(adapted), expected)
            assert not equal(weights(adapted), before)
        assert equal(weights(adapted), before)
        assert torch.equal(logits(adapted), unmerged)
    assert not torch.equal(expected, unmerged)  # rounding, in float32 too


@pytest.mark.parametrize("base", ["bfloat16"], indirect=True)
@pytest.mark.filterwarnings("ignore:Unmerge result")
def test_pefts_own_unmerging_would_not_give_the_weights_back(adapted: PeftModel) -> None:
    """Why the context keeps a copy. Should this fail one day, PEFT can do it alone."""
    before = weights(adapted)
    adapted.merge_adapter()
    adapted.unmerge_adapter()
    assert not equal(weights(adapted), before)


@pytest.mark.parametrize("base", ["bfloat16"], indirect=True)
def test_merging_warns_of_nothing(adapted: PeftModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with merged_adapter(adapted):
            pass


@pytest.mark.parametrize("scale", ["outputs", "inputs"])
def test_the_weights_of_ia3_are_scaled_and_rounded(base: PreTrainedModel, scale: str) -> None:
    adapted = changed(attach(base, Ia3Adapter(scale=scale), seed=0))  # type: ignore[arg-type]
    layer = adapted.base_model.model.model.layers[1].self_attn.k_proj
    weight, vector = layer.base_layer.weight.clone(), layer.ia3_l["default"].flatten()
    expected = (weight * (vector[:, None] if scale == "outputs" else vector)).to(weight.dtype)
    with merged_adapter(adapted):
        assert torch.equal(layer.base_layer.weight, expected)
    assert torch.equal(layer.base_layer.weight, weight)


def test_a_bias_is_scaled_with_the_outputs_and_comes_back() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, attention_bias=True,
    )  # fmt: skip
    adapted = changed(attach(LlamaForCausalLM(config).bfloat16().eval(), Ia3Adapter(), seed=0))
    layer = adapted.base_model.model.model.layers[0].self_attn.q_proj
    with torch.no_grad():
        layer.base_layer.bias.copy_(torch.linspace(-1, 1, 16))
        layer.ia3_l["default"][0] = 0  # which no division undoes
    bias = layer.base_layer.bias.clone()
    with merged_adapter(adapted):
        assert torch.equal(layer.base_layer.bias, (bias * layer.ia3_l["default"].flatten()).bfloat16())
    assert torch.equal(layer.base_layer.bias, bias)


@pytest.mark.parametrize("adapter", [None, PromptAdapter(3), PrefixAdapter(3), FullFineTuning()], ids=repr)
def test_what_cannot_be_merged_stays_as_it_is(base: PreTrainedModel, adapter: Adapter | None) -> None:
    model = base if adapter is None else changed(attach(base, adapter, seed=0))
    before, unmerged = weights(model), logits(model)
    with merged_adapter(model):
        assert equal(weights(model), before)
        torch.testing.assert_close(logits(model), unmerged)
    assert equal(weights(model), before)


def test_after_an_exception_the_weights_are_as_before(adapted: PeftModel) -> None:
    before = weights(adapted)
    with pytest.raises(RuntimeError, match="inside"), merged_adapter(adapted):
        raise RuntimeError("inside")
    assert equal(weights(adapted), before)


def test_after_a_merge_that_fails_half_way_the_weights_are_as_before(
    adapted: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, unmerged = weights(adapted), logits(adapted)
    layers = [module for name, module in adapted.named_modules() if name.endswith("o_proj")]

    def out_of_memory(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(layers[-1], "merge", out_of_memory)
    with pytest.raises(RuntimeError, match="out of memory"), merged_adapter(adapted):
        pass
    assert equal(weights(adapted), before)
    assert torch.equal(logits(adapted), unmerged)
