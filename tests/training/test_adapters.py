from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ia2_training import LoraAdapter, attach, detach
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers import PreTrainedModel

IDS = torch.tensor([[5, 6, 7, 8]])


def weights(model: PeftModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def test_the_seed_decides_the_initial_values(model: PreTrainedModel) -> None:
    drawn = []
    for seed in (0, 0, 1):
        adapted = attach(model, LoraAdapter(), seed=seed)
        drawn.append(weights(adapted))
        detach(adapted)
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name])
        assert torch.equal(value, drawn[2][name]) == ("lora_B" in name)


def test_the_random_numbers_of_the_caller_are_untouched(model: PreTrainedModel) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    attach(model, LoraAdapter(), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_only_the_named_modules_are_adapted(model: PreTrainedModel) -> None:
    adapted = attach(model, LoraAdapter(r=3, alpha=6, modules=("v_proj", "up_proj")), seed=0)
    trained = weights(adapted)
    assert len(trained) == 2 * 2 * 2  # layers, modules, A and B
    assert all("v_proj" in name or "up_proj" in name for name in trained)
    assert {min(value.shape) for value in trained.values()} == {3}
    assert adapted.base_model.model.model.layers[0].self_attn.v_proj.scaling == {"default": 2.0}


def test_float32_over_a_bfloat16_base(model: PreTrainedModel) -> None:
    adapted = attach(model.bfloat16(), LoraAdapter(), seed=0)
    assert {value.dtype for value in weights(adapted).values()} == {torch.float32}
    assert {value.dtype for value in adapted.parameters() if not value.requires_grad} == {torch.bfloat16}


def test_detach_gives_the_base_back(model: PreTrainedModel) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(IDS).logits
    adapted = attach(model, LoraAdapter(), seed=0)
    with torch.no_grad():
        for value in adapted.parameters():
            if value.requires_grad:
                value.fill_(0.5)
    assert not torch.allclose(adapted(IDS).logits, logits)
    base = detach(adapted)
    assert base is model
    after = base.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(base(IDS).logits, logits)


def test_an_initial_adapter_gives_its_weights(model: PreTrainedModel, tmp_path: Path) -> None:
    first = attach(model, LoraAdapter(), seed=3)
    saved = weights(first)
    first.save_pretrained(tmp_path)
    detach(first)
    loaded = weights(attach(model, LoraAdapter(), seed=4, initial_adapter=tmp_path))
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], value) for name, value in saved.items())


def test_initial_adapters_that_do_not_fit_are_refused(
    make_model: Callable[[str], PreTrainedModel], tmp_path: Path
) -> None:
    model = make_model("qwen3")
    with pytest.raises(ValueError, match=r"no adapter_config\.json"):
        attach(model, LoraAdapter(), seed=0, initial_adapter=tmp_path)
    adapted = attach(model, LoraAdapter(), seed=0)
    adapted.save_pretrained(tmp_path)
    detach(adapted)
    with pytest.raises(ValueError, match="r is 8, not 4"):
        attach(model, LoraAdapter(r=4), seed=0, initial_adapter=tmp_path)
    shallow = make_model("qwen3")
    del shallow.model.layers[1]
    with pytest.raises(ValueError, match="does not fit this model"):
        attach(shallow, LoraAdapter(), seed=0, initial_adapter=tmp_path)
    assert not hasattr(shallow, "peft_config"), "the base is left as it was"


def test_a_module_name_that_matches_nothing_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match=r"named 'w_pack'.* It has: .*k_proj.*q_proj"):
        attach(model, LoraAdapter(modules=("q_proj", "w_pack")), seed=0)


def test_a_second_adapter_is_refused(model: PreTrainedModel) -> None:
    adapted = attach(model, LoraAdapter(), seed=0)
    for occupied in (model, adapted):
        with pytest.raises(ValueError, match="already carries an adapter"):
            attach(occupied, LoraAdapter(), seed=0)


def test_all_faults_of_an_adapter_at_once() -> None:
    with pytest.raises(ValueError, match=r"r = 0: .*; alpha = -1: .*; modules"):
        LoraAdapter(r=0, alpha=-1, modules=())


def test_an_adapter_type_is_one_class_with_one_method(model: PreTrainedModel) -> None:
    class RankStabilised:
        def peft_config(self) -> LoraConfig:
            return LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=4, target_modules=["q_proj"], use_rslora=True)

    adapted = attach(model, RankStabilised(), seed=0)
    assert adapted.base_model.model.model.layers[0].self_attn.q_proj.scaling == {"default": 2.0}
