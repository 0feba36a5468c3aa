from __future__ import annotations

import copy

import pytest
import torch
from ia2_training import LoraAdapter, attach
from peft import PeftModel
from torch import Tensor

from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.merged import merged_adapter

TOKENS = torch.arange(24).reshape(2, 12)


@pytest.fixture(params=["float32", "bfloat16"])
def adapted(request: pytest.FixtureRequest) -> PeftModel:
    """The embedded model with an adapter whose update is not zero."""
    model = attach(load(locate(Base(model="embedded", dtype=request.param)), "cpu").model, LoraAdapter(), seed=0)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draws))
    return model


def weights(model: PeftModel) -> dict[str, Tensor]:
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


def test_pefts_own_unmerging_would_not_give_the_weights_back() -> None:
    """Why the context keeps a copy. Should this fail one day, PEFT can do it alone."""
    model = attach(load(locate(Base(model="embedded", dtype="bfloat16")), "cpu").model, LoraAdapter(), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    before = weights(model)
    model.merge_adapter()
    model.unmerge_adapter()
    assert not equal(weights(model), before)


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
