from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from ia2_training import LoraAdapter, attach, detach
from ia2_training.grouped_lora import GroupedLora
from ia2_training.last_positions import last_positions_only
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedModel

ADAPTER = LoraAdapter(r=3, alpha=12, modules=("q_proj", "k_proj", "o_proj", "down_proj"))
IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20], [5, 9, 13, 17]])
WHOSE = torch.tensor([1, 0, 1, 2, 1])


def random_adapters(model: PreTrainedModel) -> list[dict[str, Tensor]]:
    """Three of them, with B away from zero."""
    adapters = []
    for seed in range(3):
        adapted = attach(model, ADAPTER, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        adapters.append(
            {
                name: weight.clone() + 0.1 * torch.randn(weight.shape, generator=generator).to(weight.dtype)
                for name, weight in get_peft_model_state_dict(adapted).items()
            }
        )
        detach(adapted)
    return adapters


def with_peft(model: PreTrainedModel, weights: dict[str, Tensor], ids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of one adapter, and the gradient of the sum of their squares."""
    adapted = attach(model, ADAPTER, seed=0)
    set_peft_model_state_dict(adapted, weights)
    logits: Tensor = adapted(ids).logits
    logits.float().square().sum().backward()
    gradients = {name: value.grad for name, value in adapted.named_parameters() if value.grad is not None}
    detach(adapted)
    return logits.detach(), {name.replace(".default", ""): value for name, value in gradients.items()}


def make_lora(adapters: list[dict[str, Tensor]]) -> GroupedLora:
    return GroupedLora(adapters, scaling=4.0, device=torch.device("cpu"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_row_goes_through_its_adapter_as_with_peft(model: PreTrainedModel, dtype: torch.dtype) -> None:
    model.to(dtype)
    adapters = random_adapters(model)
    lora = make_lora(adapters)
    assert lora.weights.dtype == dtype
    with lora.on(model), lora.rows(WHOSE):
        logits = model(IDS).logits
        logits.float().square().sum().backward()
    assert lora.weights.grad is not None
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-3}[dtype]  # the sum of squares is float32
    for number, adapter in enumerate(adapters):
        expected, gradients = with_peft(model, adapter, IDS[number == WHOSE])
        torch.testing.assert_close(logits[number == WHOSE], expected, atol=1e-4, rtol=0)
        grouped = lora.weights_of(lora.weights.grad[number])
        assert grouped.keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(grouped[name], gradient, rtol=tolerance, atol=tolerance * gradient.abs().max())


def test_precision_over_a_bfloat16_base_is_that_of_peft(model: PreTrainedModel) -> None:
    """The product in float32, added in float32, rounded once: the same bits."""
    model.bfloat16()
    adapters = random_adapters(model)
    lora = make_lora(adapters)
    assert lora.weights.dtype == torch.float32
    base = model.model.layers[0].self_attn.q_proj
    x = torch.randn(1, 4, base.in_features, generator=torch.Generator().manual_seed(0)).bfloat16()
    with lora.on(model), lora.rows(torch.tensor([1])):
        grouped = base(x)
    adapted = attach(model, ADAPTER, seed=0)
    set_peft_model_state_dict(adapted, adapters[1])
    expected = adapted.get_base_model().model.layers[0].self_attn.q_proj(x)
    detach(adapted)
    assert grouped.dtype == torch.bfloat16
    assert torch.equal(grouped, expected)
    assert not torch.equal(grouped, base(x))


def test_the_base_is_clean_afterwards_even_after_a_failure(model: PreTrainedModel) -> None:
    plain = model(IDS).logits
    lora = make_lora(random_adapters(model))
    with pytest.raises(KeyboardInterrupt), lora.on(model), lora.rows(WHOSE), last_positions_only(model, 1):
        raise KeyboardInterrupt
    assert torch.equal(model(IDS).logits, plain)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_those_that_stay_keep_their_weights(qwen3: PreTrainedModel) -> None:
    adapters = random_adapters(qwen3)
    lora = make_lora(adapters)
    lora.keep([0, 2])
    for row, adapter in zip(lora.weights, (adapters[0], adapters[2]), strict=True):
        assert all(torch.equal(weight, adapter[name]) for name, weight in lora.weights_of(row).items())


@pytest.mark.parametrize("last", [1, 3, 4])
def test_leaving_out_positions_of_the_last_layer_changes_nothing_at_the_last_ones(
    make_model: Callable[[str], PreTrainedModel], family: str, last: int
) -> None:
    model = make_model(family).double()
    adapters = random_adapters(model)
    seen = []
    model.model.layers[-1].mlp.down_proj.register_forward_hook(lambda module, x, y: seen.append(y.shape[1]))
    results = []
    for part in (False, True):
        lora = make_lora(adapters)
        with lora.on(model), lora.rows(WHOSE), last_positions_only(model, last if part else IDS.shape[1]):
            logits = model(IDS, logits_to_keep=last).logits
            logits.square().sum().backward()
        results.append((logits.detach(), lora.weights.grad))
    assert seen == [4, last]
    torch.testing.assert_close(results[1], results[0], rtol=1e-6, atol=1e-6)
