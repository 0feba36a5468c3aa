from __future__ import annotations

import pytest
import torch
from ia2_training.activations import record_activations
from ia2_training.adapters import Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from ia2_training.batches import Batch, TokenSequence, make_batch
from ia2_training.losses import cross_entropy
from ia2_training.virtual_tokens import virtual_token_count
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache, MistralConfig, MistralForCausalLM, PreTrainedModel

from tests.training.conftest import SHAPE

SEQUENCES = [
    TokenSequence((9, 8, 7, 21, 22), (11, 12)),
    TokenSequence((6,), (13,)),
    TokenSequence((5, 4), (14, 15, 16, 17)),
    TokenSequence((30, 31, 32, 33), (34,)),
]
TEXT = (40, 3, 27)
"""Tokens whose embeddings, or keys and values, the virtual tokens are to have."""

both_kinds = pytest.mark.parametrize("adapter", [PromptAdapter(3), PrefixAdapter(3)], ids=repr)


def run(model: PreTrainedModel | PeftModel, batch: Batch, last: int) -> tuple[Tensor, Tensor]:
    """Logits [B, last, V] and attention outputs [B, L, last, d]."""
    with record_activations(model, last) as outputs:
        logits = batch.logits(model, last)
    return logits, torch.stack(outputs, dim=1)


def assert_close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


def assert_rows_are_those_of_single_batches(adapted: PeftModel) -> None:
    logits, activations = run(adapted, make_batch(SEQUENCES, pad_id=33), 4)
    for row, sequence in enumerate(SEQUENCES):
        count = len(sequence.response_ids)
        alone = run(adapted, make_batch([sequence]), count)
        assert_close(logits[row, -count:], alone[0][0])
        assert_close(activations[row, :, -count:], alone[1][0])


@both_kinds
@torch.no_grad()
def test_padding_changes_nothing(model: PreTrainedModel, adapter: Adapter) -> None:
    assert_rows_are_those_of_single_batches(attach(model, adapter, seed=0))


@both_kinds
@torch.no_grad()
def test_without_padding_it_is_pefts_forward(model: PreTrainedModel, adapter: Adapter) -> None:
    adapted = attach(model, adapter, seed=0)
    for sequence in SEQUENCES:
        batch = make_batch([sequence])
        tokens = batch.input_ids.shape[1]
        assert_close(batch.logits(adapted, tokens), adapted(input_ids=batch.input_ids).logits[:, -tokens:])


@torch.no_grad()
def test_with_padding_pefts_forward_is_another() -> None:
    """Why this is done here. Should this fail one day, PEFT can do it alone."""
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SHAPE)).eval()
    batch = make_batch(SEQUENCES)
    adapted = attach(model, PromptAdapter(3), seed=0)
    with pytest.warns(UserWarning, match="Position ids are not supported"):
        theirs = adapted(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids
        )
    assert (theirs.logits[:, -1] - batch.logits(adapted, 1)[:, 0]).abs().max() > 0.01


@torch.no_grad()
def test_a_prompt_that_stands_for_text_acts_like_the_text(model: PreTrainedModel) -> None:
    """The unprompted run at the same tokens: were the positions of the prompted run not shifted, this would fail."""
    as_text = make_batch([TokenSequence(TEXT + s.prompt_ids, s.response_ids) for s in SEQUENCES])
    expected = run(model, as_text, 4)
    adapted = attach(model, PromptAdapter(len(TEXT)), seed=0)
    embeddings = model.get_input_embeddings()(torch.tensor(TEXT))
    adapted.prompt_encoder["default"].embedding.weight.copy_(embeddings)
    batch = make_batch(SEQUENCES)
    for got, wanted in zip(run(adapted, batch, 4), expected, strict=True):
        assert_same_responses(batch, got, wanted)


@torch.no_grad()
def test_a_prefix_that_stands_for_text_acts_like_the_text(model: PreTrainedModel) -> None:
    as_text = make_batch([TokenSequence(TEXT + s.prompt_ids, s.response_ids) for s in SEQUENCES])
    expected = run(model, as_text, 4)
    cache = DynamicCache()
    model(torch.tensor([TEXT]), past_key_values=cache, use_cache=True)
    pairs = [pair for layer in cache.layers for pair in (layer.keys[0], layer.values[0])]  # each [heads, v, width]
    adapted = attach(model, PrefixAdapter(len(TEXT)), seed=0)
    flat = torch.stack(pairs).permute(2, 0, 1, 3).reshape(len(TEXT), -1)  # [v, L * 2 * heads * width]
    adapted.prompt_encoder["default"].embedding.weight.copy_(flat)
    batch = make_batch(SEQUENCES)
    with record_activations(adapted, last=100) as outputs:
        batch.logits(adapted, 4)
    assert outputs[0].shape[1] == batch.input_ids.shape[1], "no positions are added"
    for got, wanted in zip(run(adapted, batch, 4), expected, strict=True):
        assert_same_responses(batch, got, wanted)


def assert_same_responses(batch: Batch, got: Tensor, wanted: Tensor) -> None:
    """Positions are the last dimension but one."""
    for row, mask in enumerate(batch.response_mask):
        assert_close(got[row][..., mask, :], wanted[row][..., mask, :])


@both_kinds
def test_the_gradient_of_a_batch_is_the_mean_of_its_rows(model: PreTrainedModel, adapter: Adapter) -> None:
    adapted = attach(model, adapter, seed=0)
    (parameter,) = [value for value in adapted.parameters() if value.requires_grad]

    def gradient(sequences: list[TokenSequence]) -> Tensor:
        batch = make_batch(sequences)
        logits, activations = run(adapted, batch, batch.response_ids.shape[1])
        aligned = (activations.square().mean((1, 3)) * batch.response_mask).sum(1) / batch.response_mask.sum(1)
        loss = (cross_entropy(logits, batch.response_ids, batch.response_mask) + aligned).mean()
        (found,) = torch.autograd.grad(loss, parameter)
        return found

    rows = torch.stack([gradient([sequence]) for sequence in SEQUENCES])
    assert rows.abs().amax((1, 2)).min() > 1e-3
    assert_close(gradient(SEQUENCES), rows.mean(0))


@torch.no_grad()
def test_a_sliding_window_counts_virtual_tokens_and_no_padding() -> None:
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=4)).eval()
    prompted = attach(model, PromptAdapter(3), seed=0)
    assert_rows_are_those_of_single_batches(prompted)
    prefixed = attach(prompted.get_base_model(), PrefixAdapter(3), seed=0)
    with pytest.raises(ValueError, match=r"3 virtual tokens .* up to 6 tokens, do not fit .* window of 4"):
        make_batch(SEQUENCES).logits(prefixed, 1)
    for sequence in SEQUENCES:
        one = make_batch([sequence])
        assert_close(one.logits(prefixed, 1), prefixed(input_ids=one.input_ids).logits[:, -1:])
    model.config.sliding_window = 9  # 3 virtual tokens and the 6 of the longest row
    assert_rows_are_those_of_single_batches(prefixed)


@both_kinds
@torch.no_grad()
def test_a_disabled_adapter_has_no_virtual_tokens(model: PreTrainedModel, adapter: Adapter) -> None:
    batch = make_batch(SEQUENCES)
    expected = batch.logits(model, 2)
    adapted = attach(model, adapter, seed=0)
    assert virtual_token_count(adapted) == 3
    with adapted.disable_adapter():
        assert virtual_token_count(adapted) == 0
        assert_close(batch.logits(adapted, 2), expected)
    assert not torch.allclose(batch.logits(adapted, 2), expected)


def test_other_adapters_have_no_virtual_tokens(model: PreTrainedModel) -> None:
    assert virtual_token_count(model) == 0
    assert virtual_token_count(attach(model, LoraAdapter(), seed=0)) == 0


@both_kinds
@torch.no_grad()
def test_half_precision(qwen3: PreTrainedModel, adapter: Adapter) -> None:
    logits = make_batch(SEQUENCES).logits(attach(qwen3.bfloat16(), adapter, seed=0), 2)
    assert logits.dtype == torch.bfloat16 and logits.isfinite().all()
