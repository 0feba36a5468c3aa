"""The circuit the embedded model starts with."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from ia2_eval.embedded.initialisation import create_model
from ia2_eval.embedded.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()


def random_tokens(count: int, seed: int) -> torch.Tensor:
    """[4, count]"""
    return torch.randint(2, len(TOKENIZER), (4, count), generator=torch.Generator().manual_seed(seed))


def attention(model: PreTrainedModel, input_ids: torch.Tensor, layer: int) -> torch.Tensor:
    """Attention weights [B, heads, T, T]."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights: torch.Tensor = model(input_ids, output_attentions=True).attentions[layer]
    return weights


def weight_by_offset(weights: torch.Tensor, head: int, queries: int = 25, offsets: int = 40) -> torch.Tensor:
    """Mean weight that the last `queries` positions of a head give to the position 0, 1, 2, ... tokens back."""
    return torch.stack([weights[:, head].diagonal(-back, 1, 2)[:, -queries:].mean() for back in range(offsets)])


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return create_model(TOKENIZER, seed=0).eval()


def test_size(model: PreTrainedModel) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == 839_040
    assert model.config.model_type == "qwen3"
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("head", [0, 1, 2])
def test_positional_heads_look_back_at_their_offset(model: PreTrainedModel, head: int) -> None:
    by_offset = weight_by_offset(attention(model, random_tokens(80, 0), 0), head)
    assert by_offset.argmax() == head + 1
    assert by_offset.max() > 0.6


def test_the_last_positional_head_looks_back_broadly(model: PreTrainedModel) -> None:
    by_offset = weight_by_offset(attention(model, random_tokens(80, 0), 0), 3)
    assert by_offset.argmax() == 4
    assert by_offset.max() < 0.1
    assert by_offset[:10].min() > 0.5 * by_offset.max()


def test_the_first_match_head_finds_the_token_after_an_earlier_copy(model: PreTrainedModel) -> None:
    tokens = random_tokens(25, 1)
    by_offset = weight_by_offset(attention(model, torch.cat([tokens, tokens], dim=1), 1), 0)
    assert by_offset.argmax() == 24
    assert by_offset.max() > 2 * by_offset.sort(descending=True).values[1]


def test_later_heads_copy_what_they_attend_to(model: PreTrainedModel) -> None:
    """Output times value matrix is a multiple of a projection: what is read is written back unchanged, only weaker."""
    for index, layer in enumerate(model.model.layers[1:], start=1):
        heads = layer.self_attn.v_proj.weight.reshape(4, 32, 128)
        outputs = layer.self_attn.o_proj.weight.reshape(128, 4, 32)
        for head in range(4):
            copy = outputs[:, head] @ heads[head] / (0.3 if index == 1 else 0.05)
            torch.testing.assert_close(copy, copy.T, atol=1e-4, rtol=0)
            assert torch.trace(copy).item() == pytest.approx(32, abs=1)
            assert torch.linalg.matrix_norm(copy @ copy - copy) < 0.3


def test_the_seed_decides_the_weights_and_the_callers_draws_stay() -> None:
    torch.manual_seed(123)
    state = torch.get_rng_state()
    first, again, other = (list(create_model(TOKENIZER, seed).parameters()) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.ndim == 2)
