from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from ia2_training.adapters import LoraAdapter
from ia2_training.attach import attach
from torch import Tensor
from transformers import PreTrainedModel

from ia2_eval.lm import shared_prefix
from ia2_eval.lm.reading import Reading, can_share_prefix
from ia2_eval.lm.shared_prefix import SharedPrefix, _attend, _attention, continuation_cache
from tests.lm.tiny_models import language_model, token_ids

PREFIX = 20
BEGINNING, *ENDS = token_ids(PREFIX, 1, 6, 3, 11)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax_over_all(
    query: Tensor, keys: Tensor, values: Tensor, allowed: Tensor, prefix_keys: Tensor, prefix_values: Tensor
) -> Tensor:
    """[B, T, H, d] from one softmax over prefix and own keys, in float64; shapes as in `_attend`."""
    rows, heads = query.shape[:2]
    copies = heads // keys.shape[1]
    keys, values = (
        torch.cat([prefix.expand(rows, -1, -1, -1), own], 2).repeat_interleave(copies, 1)  # [B, H, P + S, d]
        for prefix, own in ((prefix_keys, keys), (prefix_values, values))
    )
    scores = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5  # [B, H, T, P + S]
    always = torch.ones(*allowed.shape[:-1], prefix_keys.shape[2], dtype=torch.bool)
    scores = scores.masked_fill(~torch.cat([always, allowed], -1), -torch.inf)
    return (scores.softmax(-1) @ values).transpose(1, 2)


def attended(
    *, rows: int = 3, heads: int = 4, groups: int = 2, tokens: int = 5, past: int = 0, scale: float = 1.0, pads: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """What `_attend` gives, what it should, and which positions [B, T] are no padding. Row b has b * pads of it."""
    length = past + tokens
    query = normal(rows, heads, tokens, 8, seed=1, scale=scale)
    keys, values = normal(rows, groups, length, 8, seed=2, scale=scale), normal(rows, groups, length, 8, seed=3)
    shared = normal(1, groups, 7, 8, seed=4, scale=scale), normal(1, groups, 7, 8, seed=5)
    allowed = torch.ones(tokens, length, dtype=torch.bool).tril(past).repeat(rows, 1, 1, 1)  # [B, 1, T, S]
    for row in range(rows):
        allowed[row, :, :, : row * pads] = False
    module = torch.nn.Module()
    module.layer_idx = 0  # type: ignore[assignment]
    prefix = SharedPrefix(7, ((shared[0].float(), shared[1].float()),))
    mask = allowed if pads else None  # none where all is causal
    found, weights = _attend(prefix, module, query.float(), keys.float(), values.float(), mask)
    assert weights is None
    real = torch.stack([torch.arange(past, length) >= row * pads for row in range(rows)])
    return found, softmax_over_all(query, keys, values, allowed, *shared), real


@pytest.mark.parametrize("block", [1, 2**20])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"heads": 4, "groups": 4},
        {"heads": 6, "groups": 1},
        {"rows": 1},
        {"tokens": 1},
        {"tokens": 1, "past": 4},
        {"tokens": 1, "past": 4, "pads": 2},
        {"tokens": 3, "past": 4},
        {"pads": 2},
        {"scale": 10.0},
        {"scale": 10.0, "pads": 2},
    ],
    ids=str,
)
def test_two_parts_are_merged_into_one_softmax(
    shape: dict[str, Any], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shared_prefix.BLOCK, "cpu", block)  # 1: one query at a time
    found, expected, real = attended(**shape)
    torch.testing.assert_close(found[real].double(), expected[real], atol=1e-4, rtol=1e-4)


def test_huge_scores_and_rows_of_padding_only_stay_finite() -> None:
    found, expected, real = attended(rows=3, tokens=4, pads=2, scale=1e4)  # scores up to 1e8; row 2 is padding only
    assert not bool(real[2].any())
    assert bool(found.isfinite().all())
    best = (found[real].double() - expected[real]).abs().amax(-1)
    assert bool((best < 1e-3).all())  # one key has all the weight, whose score float32 still tells from the others


def test_masses_are_the_log_sum_exp_of_the_scores() -> None:
    query, keys = normal(2, 2, 3, 5, 8).float(), normal(2, 2, 9, 8, seed=1).float()
    _, mass = _attention(query, keys, keys)
    scores = query.double() @ keys[:, :, None].double().transpose(3, 4)
    torch.testing.assert_close(mass.double(), scores.logsumexp(-1, keepdim=True), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("setting", ["softcap", "s_aux", "sliding_window", "position_bias"])
def test_attention_of_another_kind_is_refused(setting: str) -> None:
    with pytest.raises(NotImplementedError, match=setting):
        _attend(SharedPrefix(0, ()), torch.nn.Module(), *(normal(1, 1, 1, 2),) * 3, None, **{setting: 1})
    module = torch.nn.Module()
    module.layer_idx = 0  # type: ignore[assignment]
    one = normal(1, 1, 1, 2).float()
    _attend(SharedPrefix(1, ((one, one),)), module, one, one, one, None, **{setting: None})


GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
SHARE = {
    "llama": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": None},
    "phi3": {},
    "gpt_neox": {},
    "gpt2": GPT2,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": PREFIX + 2,
}
DO_NOT = {
    "mistral": {"sliding_window": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 8},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 256, "initializer_range": 0.3},
    "bloom": {"n_layer": 2, "n_head": 4},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "diffllama": {},
    "llama": {"rope_parameters": DYNAMIC, "max_position_embeddings": PREFIX + 2},
    "phi3": {"rope_parameters": LONG, "original_max_position_embeddings": PREFIX + 2},
}
"""Windows, biases of positions, attention that transformers' registry does not reach, and rotary positions that depend
on the length of the text."""


def behind_prefix(model: PreTrainedModel, beginning: list[int] = BEGINNING) -> Tensor:
    return Reading(model, ENDS, SharedPrefix.read(model, beginning)).first()[:, 0].float()


@torch.no_grad()
def whole(model: PreTrainedModel, beginning: list[int] = BEGINNING) -> Tensor:
    """Each text for itself, by the model alone."""
    return torch.stack([model(torch.tensor([beginning + end])).logits[0, -1] for end in ENDS]).float()


@pytest.mark.parametrize("kind", SHARE)
def test_behind_a_shared_prefix_is_as_in_the_whole_text(kind: str) -> None:
    model = language_model(kind, **SHARE[kind])
    assert can_share_prefix(model)
    expected = whole(model)
    torch.testing.assert_close(behind_prefix(model), expected, atol=5e-5, rtol=0)
    assert (whole(model, BEGINNING[::-1]) - expected).abs().max() > 0.1  # the prefix matters

    model.to(torch.bfloat16)
    assert can_share_prefix(model)
    error = (behind_prefix(model) - expected).abs().mean()
    assert error < 1.5 * (whole(model) - expected).abs().mean()  # no worse than bfloat16 itself


@pytest.mark.parametrize("kind", DO_NOT)
def test_models_of_another_kind_read_whole_texts(kind: str) -> None:
    model = language_model(kind, **DO_NOT[kind])
    before = model.config._attn_implementation
    assert not can_share_prefix(model)
    assert model.config._attn_implementation == before
    for end in ENDS:
        found = Reading(model, [BEGINNING + end]).first()[0, 0]
        torch.testing.assert_close(found, whole_text(model, BEGINNING + end), atol=5e-5, rtol=0)


@torch.no_grad()
def whole_text(model: PreTrainedModel, ids: list[int]) -> Tensor:
    logits: Tensor = model(torch.tensor([ids])).logits[0, -1]
    return logits


def test_a_model_that_ignores_the_prefix_is_told_even_where_the_prefix_hardly_matters() -> None:
    model = language_model("xglm", d_model=32, ffn_dim=32, num_layers=2, attention_heads=4)  # its attention is its own
    for name, parameter in model.named_parameters():
        if "self_attn.out_proj" in name:
            parameter.data *= 1e-4
    torch.testing.assert_close(behind_prefix(model), whole(model), atol=1e-3, rtol=0)
    assert not can_share_prefix(model)


@pytest.mark.parametrize("name", ["sliding_window", "attention_chunk_size"])
def test_layers_with_a_window_do_not_share(name: str) -> None:
    model = language_model()
    assert can_share_prefix(model)
    setattr(model.config, name, 4096)
    assert not can_share_prefix(model)


def test_an_adapter_computes_the_prefix_and_is_switched() -> None:
    model = attach(language_model(), LoraAdapter(r=4), seed=0).eval()
    base = whole(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    assert can_share_prefix(model)
    adapted = whole(model)
    assert (adapted - base).abs().max() > 0.1
    torch.testing.assert_close(behind_prefix(model), adapted, atol=5e-5, rtol=0)
    with model.disable_adapter():
        torch.testing.assert_close(behind_prefix(model), base, atol=5e-5, rtol=0)
        of_the_base = SharedPrefix.read(model, BEGINNING)
    mixed = Reading(model, ENDS, of_the_base).first()[:, 0]
    assert (mixed - adapted).abs().max() > 0.01  # the prefix keeps what it was computed under


def test_autocast_does_not_make_the_merge_coarser() -> None:
    model = language_model(initializer_range=0.6)
    beginning = token_ids(150, seed=3)[0]
    expected = whole(model, beginning)
    with torch.autocast("cpu", torch.bfloat16):
        plain = (whole(model, beginning) - expected).abs().mean()
        shared = (behind_prefix(model, beginning) - expected).abs().mean()
    assert 0 < shared < 1.5 * plain


def test_the_prefix_is_in_memory_once_and_not_beyond_its_use() -> None:
    model = language_model()
    prefix = SharedPrefix.read(model, BEGINNING)
    assert prefix.length == PREFIX
    assert [states.shape for layer in prefix.layers for states in layer] == [(1, 2, PREFIX, 8)] * 4
    rows = token_ids(*[3] * 50)
    reading = Reading(model, rows, prefix, room=5)
    reading.first()
    cache = reading._inputs["past_key_values"]
    assert all(layer._keys.shape == (50, 2, 3 + 5, 8) for layer in cache.layers)  # without the prefix
    assert cache.get_seq_length() == PREFIX + 3

    held = [weakref.ref(states) for layer in prefix.layers for states in layer]
    del prefix, reading, cache
    gc.collect()
    assert [each() for each in held] == [None] * 4


def test_attention_is_as_before_whatever_happens_inside() -> None:
    model = language_model()
    prefix = SharedPrefix.read(model, BEGINNING)
    before, expected = model.config._attn_implementation, whole(model)
    with pytest.raises(ZeroDivisionError), prefix.attended(model):
        assert model.config._attn_implementation == shared_prefix.ATTENTION
        raise ZeroDivisionError
    assert model.config._attn_implementation == before
    with pytest.raises(IndexError):
        Reading(model, [[10**6]], prefix).first()  # no such token
    assert model.config._attn_implementation == before
    assert torch.equal(whole(model), expected)


def test_a_cache_makes_room_for_what_does_not_fit() -> None:
    cache = continuation_cache(layers=1, prefix_length=7, room=1)
    states = normal(2, 1, 3, 4)
    cache.update(states, states, 0)
    assert cache.get_seq_length() == 7 + 3 and cache.get_mask_sizes(1, 0) == (4, 7)
    expected = states
    for count in (1, 1, 3, 2):
        more = normal(2, 1, count, 4)
        expected = torch.cat([expected, more], 2)
        for found in cache.update(more, more, 0):
            assert torch.equal(found, expected)
    assert cache.get_seq_length() == 7 + 10
