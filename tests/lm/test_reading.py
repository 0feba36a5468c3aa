from __future__ import annotations

from typing import Any

import pytest
import torch
from ia2_training.adapters import Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from ia2_training.batches import TokenSequence, make_batch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from ia2_eval.errors import UserError
from ia2_eval.lm.reading import Reading
from ia2_eval.lm.shared_prefix import SharedPrefix
from tests.lm.tiny_models import language_model, token_ids

BEGINNING, *ROWS = token_ids(9, 4, 1, 7, 2)
STEPS = token_ids(4, 4, 4, 4, seed=1)

WINDOW = {"sliding_window": 5}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "qwen3": ("qwen3", {"head_dim": 8}),
    "window": ("mistral", WINDOW),
    "some windows": ("gemma2", {"head_dim": 8} | WINDOW),
    "biases of positions": ("bloom", {"n_layer": 2, "n_head": 4}),
}


def adapted(adapter: Adapter, **settings: Any) -> PreTrainedModel:
    model = attach(language_model(**settings), adapter, seed=0).eval()
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.3, generator=draws)
    return model


@torch.no_grad()
def last_logits(model: PreTrainedModel, ids: list[int], last: int = 1) -> Tensor:
    """[last, V], of one whole text without a cache; behind virtual tokens as in training."""
    logits = make_batch([TokenSequence(tuple(ids), (0,))]).logits(model, last)
    return logits[0]


def assert_reads(model: PreTrainedModel, prefix: list[int], tolerance: float = 5e-5) -> None:
    """Rows of different lengths, then tokens one by one while rows leave, against whole texts at every step."""
    shared = SharedPrefix.read(model, prefix) if prefix else None
    reading = Reading(model, ROWS, shared, room=4)
    texts = [prefix + row for row in ROWS]
    going = list(range(len(ROWS)))

    def check(found: Tensor) -> None:
        expected = torch.cat([last_logits(model, texts[row]) for row in going])
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)

    check(reading.first()[:, 0])
    for step, kept in enumerate(([0, 1, 2, 3], [3, 0, 2], [1, 2], [1])):
        if len(kept) < len(going):
            reading.keep(torch.tensor(kept))
            going = [going[place] for place in kept]
        tokens = [STEPS[row][step] for row in going]
        for row, token in zip(going, tokens, strict=True):
            texts[row] = [*texts[row], token]
        check(reading.next(torch.tensor(tokens)))
    assert going == [2]


@pytest.mark.parametrize("name", MODELS)
def test_token_by_token_is_as_whole_texts(name: str) -> None:
    kind, settings = MODELS[name]
    assert_reads(language_model(kind, **settings), [])


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_token_by_token_behind_a_shared_prefix(name: str) -> None:
    kind, settings = MODELS[name]
    assert_reads(language_model(kind, **settings), BEGINNING)


@pytest.mark.parametrize("adapter", [PromptAdapter(3), PrefixAdapter(3), PromptAdapter(1), LoraAdapter(r=4)], ids=repr)
def test_token_by_token_behind_virtual_tokens(adapter: Adapter) -> None:
    model = adapted(adapter)
    assert_reads(model, [])
    with model.disable_adapter():
        base = last_logits(model.get_base_model(), ROWS[0])
    assert (last_logits(model, ROWS[0]) - base).abs().max() > 0.1


def test_virtual_tokens_before_windows() -> None:
    """Prompt tuning of a model with windows: padding must not count for the window."""
    assert_reads(adapted(PromptAdapter(2), kind="mistral", **WINDOW), [])


def test_the_prefix_of_an_adapter_that_is_on() -> None:
    model = adapted(LoraAdapter(r=4))
    assert_reads(model, BEGINNING)
    with model.disable_adapter():
        assert_reads(model, BEGINNING)


def test_models_with_windows_read_into_transformers_own_cache() -> None:
    for name in ("window", "some windows"):
        kind, settings = MODELS[name]
        reading = Reading(language_model(kind, **settings), ROWS, room=4)
        assert type(reading._inputs["past_key_values"]) is DynamicCache
    assert type(Reading(language_model(), ROWS, room=4)._inputs["past_key_values"]) is not DynamicCache


@pytest.mark.parametrize("prefix", [[], BEGINNING], ids=["alone", "behind a prefix"])
def test_logits_of_several_last_positions(prefix: list[int]) -> None:
    model = language_model()
    shared = SharedPrefix.read(model, prefix) if prefix else None
    found = Reading(model, ROWS, shared).first(3)
    assert found.shape == (4, 3, 64)
    for row, logits in zip(ROWS, found, strict=True):
        last = min(3, len(row))
        torch.testing.assert_close(logits[-last:], last_logits(model, prefix + row, last), atol=5e-5, rtol=0)


def test_a_model_that_computes_all_logits_gives_its_last_ones() -> None:
    model = language_model()
    forward = model.forward
    model.forward = lambda *ids, logits_to_keep, **inputs: forward(*ids, **inputs)  # type: ignore[method-assign]
    found = Reading(model, ROWS).first(2)
    assert found.shape == (4, 2, 64)
    torch.testing.assert_close(found[:, -1], Reading(language_model(), ROWS).first()[:, 0], atol=5e-5, rtol=0)


@pytest.mark.parametrize("prefix", [[], BEGINNING], ids=["alone", "behind a prefix"])
def test_a_row_does_not_depend_on_its_neighbours_in_half_precision(prefix: list[int]) -> None:
    model = language_model().to(torch.bfloat16)
    shared = SharedPrefix.read(model, prefix) if prefix else None
    together = Reading(model, ROWS, shared).first()[:, 0]
    alone = torch.cat([Reading(model, [row], shared).first()[:, 0] for row in ROWS])
    torch.testing.assert_close(together, alone, atol=0.1, rtol=0)
    assert alone.abs().max() > 3


def test_a_model_without_keys_and_values_says_so_instead_of_forgetting() -> None:
    model = language_model("mamba", state_size=4)
    torch.testing.assert_close(Reading(model, [ROWS[0]]).first()[0], last_logits_of_mamba(model), atol=5e-5, rtol=0)
    with pytest.raises(UserError, match=r"a mamba model keeps no keys and values .* use --model hf"):
        Reading(model, ROWS, room=2).first()


@torch.no_grad()
def last_logits_of_mamba(model: PreTrainedModel) -> Tensor:
    logits: Tensor = model(torch.tensor([ROWS[0]])).logits[0, -1:]
    return logits
