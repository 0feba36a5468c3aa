from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from accelerate import dispatch_model
from ia2_training.activations import record_activations
from ia2_training.adapters import Adapter, FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from ia2_training.batches import TokenSequence, make_batch
from ia2_training.checkpointing import checkpointed
from ia2_training.losses import cross_entropy
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

SEQUENCES = [TokenSequence((9, 8, 7), (11, 12)), TokenSequence((6,), (13,)), TokenSequence((5, 4), (14, 15, 16, 17))]

every_kind = pytest.mark.parametrize(
    "adapter", [LoraAdapter(), Ia3Adapter(), PromptAdapter(3), PrefixAdapter(3), FullFineTuning()], ids=repr
)


def losses(model: PreTrainedModel | PeftModel) -> dict[str, Tensor]:
    """Cross-entropy, and an alignment of attention outputs and of the residual stream with a constant."""
    batch = make_batch(SEQUENCES)
    with record_activations(model, 4) as attention, record_activations(model, 4, "residual") as residual:
        logits = batch.logits(model, 4)
    mask = batch.response_mask[:, None, :, None]
    return {
        "cross_entropy": cross_entropy(logits, batch.response_ids, batch.response_mask).mean(),
        "attention": ((torch.stack(attention, 1) - 1).square() * mask).mean(),
        "residual": ((torch.stack(residual, 1) - 1).square() * mask).mean(),
    }


def gradients(model: PreTrainedModel | PeftModel, loss: Tensor) -> dict[str, Tensor]:
    """Of a loss by the trained parameters that it depends on."""
    model.zero_grad()
    loss.backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad and p.grad is not None}
    assert found and all(grad.isfinite().all() for grad in found.values())
    assert any(grad.abs().max() > 1e-4 for grad in found.values())
    return found


def trained(model: PreTrainedModel, adapter: Adapter) -> PreTrainedModel | PeftModel:
    adapted = attach(model, adapter, seed=0)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))
    return adapted


@every_kind
@pytest.mark.parametrize("name", ["cross_entropy", "attention", "residual"])
def test_losses_and_gradients_are_the_same(model: PreTrainedModel, adapter: Adapter, name: str) -> None:
    adapted = trained(model, adapter)
    expected = losses(adapted)[name]
    expected_gradients = gradients(adapted, expected)
    with checkpointed(adapted):
        loss = losses(adapted)[name]
        torch.testing.assert_close(loss, expected)
        found = gradients(adapted, loss)
    assert found.keys() == expected_gradients.keys()
    for parameter, gradient in found.items():
        torch.testing.assert_close(gradient, expected_gradients[parameter])


@contextmanager
def counting_saved_tensors() -> Iterator[list[int]]:
    """Elements of every tensor that is kept for a backward pass."""
    saved: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield saved


@every_kind
def test_less_is_kept_for_the_backward_pass(qwen3: PreTrainedModel, adapter: Adapter) -> None:
    adapted = trained(qwen3, adapter)
    with counting_saved_tensors() as plain:
        losses(adapted)
    with checkpointed(adapted), counting_saved_tensors() as kept:
        losses(adapted)
    assert 0 < len(kept) < len(plain) / 3
    assert sum(kept) < sum(plain) / 2


def test_a_layer_runs_once_more_in_the_backward_pass(qwen3: PreTrainedModel) -> None:
    adapted = trained(qwen3, LoraAdapter())
    runs = 0

    def count(*_: object) -> None:
        nonlocal runs
        runs += 1

    qwen3.model.layers[1].self_attn.register_forward_hook(count)
    with checkpointed(adapted):
        loss = losses(adapted)["residual"]
        assert runs == 1
        loss.backward()
        assert runs == 2


def test_dropout_stays_off_and_everything_is_as_before(qwen3: PreTrainedModel) -> None:
    adapted = trained(qwen3, LoraAdapter())
    layers = list(qwen3.model.layers)
    attributes = [dict(vars(layer)) for layer in layers]
    with pytest.raises(RuntimeError, match="inside"), checkpointed(adapted):
        assert not any(module.training for module in adapted.modules())
        assert all("forward" in vars(layer) for layer in layers)
        raise RuntimeError("inside")
    assert [dict(vars(layer)) for layer in layers] == attributes


def test_a_model_spread_over_devices(qwen3: PreTrainedModel) -> None:
    """accelerate gives every module a forward of its own, which moves its inputs to its device."""
    device_map = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
    spread = dispatch_model(
        qwen3, device_map | {"model.layers.0": "cpu", "model.layers.1": "cpu"}, main_device="cpu", force_hooks=True
    )
    adapted = trained(spread, LoraAdapter())
    layers: list[nn.Module] = list(qwen3.model.layers)
    forwards = [vars(layer)["forward"] for layer in layers]
    expected = gradients(adapted, losses(adapted)["attention"])
    with checkpointed(adapted), counting_saved_tensors() as kept:
        found = gradients(adapted, losses(adapted)["attention"])
    assert len(kept) < 40
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name])
    assert [vars(layer)["forward"] for layer in layers] == forwards


def test_without_gradients_it_changes_nothing(qwen3: PreTrainedModel) -> None:
    adapted = trained(qwen3, PrefixAdapter(3))
    with torch.no_grad(), checkpointed(adapted):
        checked = losses(adapted)
    for name, value in losses(adapted).items():
        torch.testing.assert_close(checked[name], value.detach())
