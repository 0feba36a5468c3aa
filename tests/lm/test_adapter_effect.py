from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import torch
from ia2_training.adapters import Adapter, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach, detach
from peft import PeftModel

from ia2_eval.errors import UserError
from ia2_eval.lm.adapter_effect import PROBE_LENGTH, amounts_to_nothing, probe, require_effect, substantial
from ia2_eval.lm.base_model import Base, load, locate

ADAPTERS = [LoraAdapter(), Ia3Adapter(), Ia3Adapter(scale="inputs"), PromptAdapter(3), PrefixAdapter(3)]


@pytest.fixture(params=ADAPTERS, ids=repr)
def fresh(request: pytest.FixtureRequest) -> Iterator[PeftModel]:
    yield from attached(request.param)


@pytest.fixture
def lora() -> Iterator[PeftModel]:
    yield from attached(LoraAdapter())


def attached(adapter: Adapter, dtype: Literal["float32", "bfloat16"] = "float32") -> Iterator[PeftModel]:
    base = load(locate(Base(model="embedded", dtype=dtype)), "cpu").model
    model = attach(base, adapter, seed=0)
    yield model
    detach(model)


def move(model: PeftModel, step: float = 0.05) -> None:
    """A small step of every trainable parameter."""
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(step * torch.randn(parameter.shape, generator=draws))


def state(model: PeftModel) -> list[object]:
    parameters = [(name, value.requires_grad, value.sum().item()) for name, value in model.named_parameters()]
    modules = [(module.training, getattr(module, "disable_adapters", None)) for module in model.modules()]
    return [parameters, modules, model.active_adapters, model._adapters_disabled]


@pytest.mark.parametrize("training", [False, True])
def test_a_trained_adapter_passes_and_the_model_stays_as_it_was(
    fresh: PeftModel, training: bool, caplog: pytest.LogCaptureFixture
) -> None:
    move(fresh)
    fresh.train(training)
    before = state(fresh)
    require_effect(fresh, "default")
    assert state(fresh) == before
    assert not caplog.records


@pytest.mark.parametrize("adapter", ADAPTERS[:3], ids=repr)
def test_an_untrained_adapter_is_warned_of(adapter: Adapter, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for model in attached(adapter):
            require_effect(model, "default")
    assert [record.getMessage() for record in caplog.records] == [
        "the adapter 'default' changes nothing: its weights are those that it started with"
    ]


def test_an_adapter_that_is_not_applied_is_refused(fresh: PeftModel, monkeypatch: pytest.MonkeyPatch) -> None:
    move(fresh)
    if fresh.active_peft_config.is_prompt_learning:
        forward = fresh.get_base_model().forward
        monkeypatch.setattr(fresh, "forward", forward)
    else:
        fresh.base_model.disable_adapter_layers()
    before = state(fresh)
    with pytest.raises(UserError, match="'default' is attached but changes nothing"):
        require_effect(fresh, "default")
    assert state(fresh) == before


@pytest.mark.parametrize(("step", "warned"), [(0.05, False), (1e-6, True)])
def test_in_half_precision_no_effect_is_only_warned_of(
    step: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The same small step has an effect in float32."""
    for dtype in ("float32", "bfloat16"):
        for model in attached(LoraAdapter(), dtype):
            move(model, step)
            with caplog.at_level(logging.WARNING):
                require_effect(model, "default")
        if dtype == "float32":
            assert not caplog.records
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == warned and all("below the rounding of half precision, or it is not applied" in s for s in said)


@pytest.mark.parametrize("adapter", ADAPTERS[:3], ids=repr)
def test_in_half_precision_an_adapter_that_is_not_applied_is_refused(adapter: Adapter) -> None:
    for model in attached(adapter, "bfloat16"):
        move(model)
        model.base_model.disable_adapter_layers()
        with pytest.raises(UserError, match="'default' is attached but changes nothing"):
            require_effect(model, "default")


def test_an_adapter_that_is_not_the_active_one_is_refused(lora: PeftModel) -> None:
    move(lora)
    lora.add_adapter("other", LoraAdapter().peft_config())
    with pytest.raises(UserError, match=r"'other' is attached, but the active one is 'default': call set_adapter"):
        require_effect(lora, "other")
    require_effect(lora, "default")


def test_a_merged_adapter_is_not_touched(lora: PeftModel) -> None:
    move(lora)
    lora.merge_adapter()
    before = state(lora)
    with pytest.raises(ValueError, match="merged"):
        require_effect(lora, "default")
    assert state(lora) == before
    lora.unmerge_adapter()


def test_weights_that_amount_to_nothing() -> None:
    zero, one = torch.zeros(2, 3), torch.ones(3)
    assert amounts_to_nothing({"q_proj.lora_A.weight": one, "q_proj.lora_B.weight": zero})
    assert not amounts_to_nothing({"q_proj.lora_B.weight": zero, "k_proj.lora_B.weight": torch.eye(2)})
    assert amounts_to_nothing({"q_proj.ia3_l": one})
    assert not amounts_to_nothing({"q_proj.ia3_l": zero})
    assert not amounts_to_nothing({"prompt_embeddings": zero})  # a prompt of zeros is a prompt


def test_weights_that_half_precision_does_not_hide() -> None:
    far, near = torch.tensor([0.0, -2e-3]), torch.tensor([5e-4, 0.0])
    assert substantial({"q_proj.lora_B.weight": near, "k_proj.lora_B.weight": far})
    assert not substantial({"q_proj.lora_A.weight": far, "q_proj.lora_B.weight": near})
    assert substantial({"q_proj.ia3_l": 1 + 10 * far})
    assert not substantial({"q_proj.ia3_l": 1 + 10 * near})
    assert not substantial({"prompt_embeddings": far})


@pytest.mark.parametrize("vocabulary", [PROBE_LENGTH, 97, 151_936])
def test_the_probe_is_within_the_vocabulary(vocabulary: int) -> None:
    tokens = probe(vocabulary)
    assert len(set(tokens)) == PROBE_LENGTH
    assert all(0 <= token < vocabulary for token in tokens)
