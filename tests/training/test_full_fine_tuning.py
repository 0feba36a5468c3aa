from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ia2_training.adapters import FullFineTuning, LoraAdapter
from ia2_training.attach import attach, detach, require_no_adapter, save_adapter
from ia2_training.batches import TokenSequence, make_batch
from ia2_training.losses import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.training.conftest import SHAPE

IDS = torch.tensor([[5, 6, 7, 8]])


def tied(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if family == "gemma3":
        return Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE)).eval()
    return Qwen3ForCausalLM(Qwen3Config(**SHAPE, tie_word_embeddings=True)).eval()


def step(model: PreTrainedModel, learning_rate: float = 1e-3) -> None:
    batch = make_batch([TokenSequence((9, 8, 7), (11, 12))])
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    cross_entropy(batch.logits(model, 2), batch.response_ids, batch.response_mask).mean().backward()
    optimiser.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["qwen3", "gemma3"])
def test_tied_embeddings_stay_tied_and_come_back(family: str, dtype: torch.dtype) -> None:
    model = tied(family).to(dtype)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = attach(model, FullFineTuning(), seed=0)
    assert trained.lm_head.weight is trained.get_input_embeddings().weight
    step(trained)
    assert trained.lm_head.weight is trained.get_input_embeddings().weight
    changed = [name for name, value in trained.state_dict().items() if not torch.equal(value, before[name])]
    assert len(changed) > 10 and "model.embed_tokens.weight" in changed
    base = detach(trained)
    assert base is model and base.lm_head.weight is base.get_input_embeddings().weight
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    assert {value.dtype for value in base.parameters()} == {dtype}
    assert all(value.grad is None and not value.requires_grad for value in base.parameters())
    require_no_adapter(base)


def test_an_update_below_half_an_ulp_is_kept(qwen3: PreTrainedModel) -> None:
    base = qwen3.bfloat16()
    weight = base.model.layers[0].mlp.up_proj.weight
    original = weight.clone()
    attach(base, FullFineTuning(), seed=0)
    step(base, learning_rate=1e-6)
    assert not torch.equal(weight, original.float())
    assert torch.equal(weight.bfloat16(), original), "in bfloat16 nothing would have been learnt"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_saved_is_an_ordinary_checkpoint(tmp_path: Path, dtype: torch.dtype) -> None:
    tied("qwen3").save_pretrained(tmp_path / "base")
    trained = attach(AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=dtype), FullFineTuning(), seed=0)
    step(trained)
    save_adapter(trained, tmp_path / "trained")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "trained", dtype="auto")
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded(IDS).logits, trained(IDS).logits)
    assert detach(trained).config.dtype == dtype


def test_a_checkpoint_of_another_model_is_refused(make_model: Callable[[str], PreTrainedModel], tmp_path: Path) -> None:
    make_model("llama").save_pretrained(tmp_path)
    model = make_model("qwen3")
    with pytest.raises(ValueError, match=r"holds a LlamaForCausalLM, and the model is a Qwen3ForCausalLM"):
        attach(model, FullFineTuning(), seed=0, initial_adapter=tmp_path)
    require_no_adapter(model)
    assert not any(value.requires_grad for value in model.parameters())


def test_a_model_that_is_fully_trained_takes_no_adapter(qwen3: PreTrainedModel) -> None:
    attach(qwen3, FullFineTuning(), seed=0)
    with pytest.raises(ValueError, match="already carries an adapter"):
        attach(qwen3, LoraAdapter(), seed=0)
