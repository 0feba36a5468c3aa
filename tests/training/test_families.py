"""The layouts that are supported, as tiny random models: everything is attached, trained a little and taken off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ia2_training.activations import layer_count, record_activations
from ia2_training.adapters import Adapter, FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach, detach
from ia2_training.batches import TokenSequence, make_batch
from ia2_training.checkpointing import checkpointed
from ia2_training.losses import cross_entropy
from peft import PeftModel
from torch import Tensor
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.training.conftest import SHAPE

WIDE: dict[str, Any] = SHAPE | {"head_dim": 16}
"""Heads that do not divide the width among them, as in Qwen3-0.6B and Gemma."""
FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**WIDE)),
    "qwen3_tied": lambda: Qwen3ForCausalLM(Qwen3Config(**WIDE, tie_word_embeddings=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**WIDE, sliding_window=16)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**WIDE)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**WIDE, sliding_window=16, layer_types=["sliding_attention", "full_attention"])
    ),
}
ADAPTERS: list[Adapter] = [
    LoraAdapter(),
    LoraAdapter(modules=("gate_proj", "v_proj")),
    Ia3Adapter(),
    Ia3Adapter(scale="inputs"),
    PromptAdapter(3),
    PrefixAdapter(3),
    FullFineTuning(),
]
SEQUENCES = [TokenSequence((9, 8, 7), (11, 12)), TokenSequence((6,), (13,)), TokenSequence((5, 4), (14, 15, 16, 17))]


@pytest.fixture(params=FAMILIES)
def base(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return FAMILIES[request.param]().eval().requires_grad_(False)


def alignment(model: PreTrainedModel | PeftModel) -> Tensor:
    """Distance of the attention outputs of all layers from zero."""
    batch = make_batch(SEQUENCES)
    with record_activations(model, 4) as outputs:
        batch.logits(model, 1)
    return (torch.stack(outputs, 1).float().square() * batch.response_mask[:, None, :, None]).mean()


def labelled(model: PreTrainedModel | PeftModel) -> Tensor:
    batch = make_batch(SEQUENCES)
    return cross_entropy(batch.logits(model, 4), batch.response_ids, batch.response_mask).mean()


def train(
    model: PreTrainedModel | PeftModel, loss: Callable[..., Tensor], steps: int, learning_rate: float
) -> list[float]:
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=learning_rate)
    values = []
    for _ in range(steps):
        optimiser.zero_grad()
        value = loss(model)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        values.append(value.item())
    return values


def state(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("loss", [alignment, labelled])
@pytest.mark.parametrize("adapter", ADAPTERS, ids=repr)
def test_every_adapter_learns_and_leaves_the_base_untouched(
    base: PreTrainedModel, adapter: Adapter, loss: Callable[..., Tensor]
) -> None:
    before = state(base)
    adapted = attach(base, adapter, seed=0)
    start = {name: value.clone() for name, value in adapted.named_parameters() if value.requires_grad}
    with checkpointed(adapted):
        values = train(adapted, loss, steps=3, learning_rate=1e-3)
    assert values[2] < values[0]
    unused = 0  # of parameters behind the last attention output alignment has no gradient
    for name, value in adapted.named_parameters():
        if name in start:
            unused += torch.equal(value, start[name])
    assert unused < len(start) / 3 if loss is alignment else unused == 0
    if not isinstance(adapter, FullFineTuning):
        kept = {name: value for name, value in adapted.named_parameters() if name not in start}
        assert not any(value.requires_grad or value.grad is not None for value in kept.values())
    after = state(detach(adapted))
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_layers_and_outputs_are_found(base: PreTrainedModel) -> None:
    assert layer_count(base) == 2
    with record_activations(base, 2) as attention, record_activations(base, 2, "mlp") as mlp:
        make_batch(SEQUENCES).logits(base, 1)
    assert [value.shape for value in (*attention, *mlp)] == [(3, 2, 32)] * 4


@torch.no_grad()
def test_merged_lora_is_unmerged_lora(base: PreTrainedModel) -> None:
    adapted = attach(base, LoraAdapter(), seed=0)
    draws = torch.Generator().manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draws))
    batch = make_batch(SEQUENCES)
    unmerged = batch.logits(adapted, 4)
    adapted.merge_adapter()
    merged = batch.logits(adapted, 4)
    real = batch.response_mask
    torch.testing.assert_close(merged[real], unmerged[real], atol=1e-4, rtol=1e-4)
    adapted.unmerge_adapter()
    assert (merged[real] - batch.logits(detach(adapted), 4)[real]).abs().max() > 1e-2


@pytest.mark.parametrize("adapter", ADAPTERS, ids=repr)
def test_a_bfloat16_base_trains_float32_adapters(base: PreTrainedModel, adapter: Adapter) -> None:
    adapted = attach(base.bfloat16(), adapter, seed=0)
    values = train(adapted, labelled, steps=8, learning_rate=1e-2)
    assert values[-1] < 0.98 * values[0]
    assert {p.dtype for p in adapted.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in detach(adapted).parameters()} == {torch.bfloat16}
