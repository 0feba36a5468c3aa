from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ia2_training.adapters import Adapter, FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach, detach, save_adapter
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

IDS = torch.tensor([[5, 6, 7, 8]])
OVER_A_BASE: list[Adapter] = [
    LoraAdapter(),
    Ia3Adapter(),
    Ia3Adapter(scale="inputs"),
    PromptAdapter(3),
    PrefixAdapter(3),
]
DRAWN = ("lora_A", "prompt_encoder")
"""In the names of the parameters whose initial values are random."""

over_a_base = pytest.mark.parametrize("adapter", OVER_A_BASE, ids=repr)
every_kind = pytest.mark.parametrize("adapter", [*OVER_A_BASE, FullFineTuning()], ids=repr)


def trained(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def change(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.add_(0.5)


@over_a_base
def test_the_seed_decides_the_initial_values(qwen3: PreTrainedModel, adapter: Adapter) -> None:
    drawn = []
    for seed in (0, 0, 1):
        adapted = attach(qwen3, adapter, seed=seed)
        drawn.append(trained(adapted))
        detach(adapted)
        torch.rand(1)  # the global random numbers do not
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name])
        assert torch.equal(value, drawn[2][name]) != any(part in name for part in DRAWN)


@every_kind
def test_the_random_numbers_of_the_caller_are_untouched(
    qwen3: PreTrainedModel, adapter: Adapter, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = attach(qwen3, adapter, seed=0)
    save_adapter(first, tmp_path)
    attach(detach(first), adapter, seed=0, initial_adapter=tmp_path)
    assert torch.equal(torch.rand(3), expected)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_what_is_trained_is_in_float32_at_least(qwen3: PreTrainedModel, adapter: Adapter, dtype: torch.dtype) -> None:
    adapted = attach(qwen3.to(dtype), adapter, seed=0)
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert {value.dtype for value in trained(adapted).values()} == {expected}
    assert {value.dtype for value in adapted.parameters() if not value.requires_grad} <= {dtype}
    assert {value.dtype for value in detach(adapted).parameters()} == {dtype}


@every_kind
def test_detach_gives_the_base_back(model: PreTrainedModel, adapter: Adapter) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(IDS).logits
    adapted = attach(model, adapter, seed=0)
    change(adapted)
    assert not torch.allclose(adapted(IDS).logits[:, -4:], logits)
    base = detach(adapted)
    assert base is model
    after = base.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(value.requires_grad for value in base.parameters())
    torch.testing.assert_close(base(IDS).logits, logits)
    detach(attach(base, adapter, seed=0))  # and it can take the next


@every_kind
def test_an_initial_adapter_gives_its_weights(qwen3: PreTrainedModel, adapter: Adapter, tmp_path: Path) -> None:
    first = attach(qwen3, adapter, seed=3)
    change(first)
    saved = trained(first)
    save_adapter(first, tmp_path)
    base = detach(first)
    again = attach(base, adapter, seed=4, initial_adapter=tmp_path)
    assert trained(again).keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in trained(again).items())


@over_a_base
def test_a_saved_adapter_is_an_ordinary_peft_directory(
    qwen3: PreTrainedModel, adapter: Adapter, tmp_path: Path
) -> None:
    adapted = attach(qwen3, adapter, seed=3)
    change(adapted)
    logits = adapted(IDS).logits
    (tmp_path / "stays.txt").write_text("note")
    save_adapter(adapted, tmp_path)
    written = {"adapter_config.json", "adapter_model.safetensors", "stays.txt"}
    assert {path.name for path in tmp_path.iterdir()} == written
    loaded = PeftModel.from_pretrained(detach(adapted), tmp_path).eval()
    torch.testing.assert_close(loaded(IDS).logits, logits)


@pytest.mark.parametrize(
    ("adapter", "last"), [(LoraAdapter(), "adapter_config.json"), (FullFineTuning(), "config.json")], ids=repr
)
def test_the_configuration_is_written_last(
    qwen3: PreTrainedModel, adapter: Adapter, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    replace = Path.replace

    def remember(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", remember)
    save_adapter(attach(qwen3, adapter, seed=0), tmp_path)
    assert len(moved) > 1 and moved[-1] == last


def test_initial_adapters_that_do_not_fit_are_refused(
    make_model: Callable[[str], PreTrainedModel], tmp_path: Path
) -> None:
    model = make_model("qwen3")
    with pytest.raises(ValueError, match=r"no adapter_config\.json"):
        attach(model, LoraAdapter(), seed=0, initial_adapter=tmp_path)
    with pytest.raises(ValueError, match=r"no config\.json"):
        attach(model, FullFineTuning(), seed=0, initial_adapter=tmp_path)
    adapted = attach(model, LoraAdapter(), seed=0)
    save_adapter(adapted, tmp_path)
    detach(adapted)
    with pytest.raises(ValueError, match="r is 8, not 4"):
        attach(model, LoraAdapter(r=4), seed=0, initial_adapter=tmp_path)
    with pytest.raises(ValueError, match="peft_type is 'LORA', not 'PREFIX_TUNING'"):
        attach(model, PrefixAdapter(), seed=0, initial_adapter=tmp_path)
    shallow = make_model("qwen3")
    del shallow.model.layers[1]
    with pytest.raises(ValueError, match="does not fit this model"):
        attach(shallow, LoraAdapter(), seed=0, initial_adapter=tmp_path)
    assert not hasattr(shallow, "peft_config"), "the base is left as it was"


def test_the_two_sides_of_ia3_are_not_mixed_up(qwen3: PreTrainedModel, tmp_path: Path) -> None:
    outputs = attach(qwen3, Ia3Adapter(modules=("q_proj",)), seed=0)
    save_adapter(outputs, tmp_path)
    with pytest.raises(ValueError, match=r"feedforward_modules is set\(\), not {'q_proj'}"):
        attach(detach(outputs), Ia3Adapter(modules=("q_proj",), scale="inputs"), seed=0, initial_adapter=tmp_path)


def test_a_module_name_that_matches_nothing_is_refused(model: PreTrainedModel) -> None:
    for adapter in (LoraAdapter(modules=("q_proj", "w_pack")), Ia3Adapter(modules=("q_proj", "w_pack"))):
        with pytest.raises(ValueError, match=r"named 'w_pack'.* It has: .*k_proj.*q_proj"):
            attach(model, adapter, seed=0)


@every_kind
def test_a_second_adapter_is_refused(qwen3: PreTrainedModel, adapter: Adapter) -> None:
    adapted = attach(qwen3, adapter, seed=0)
    for second in (LoraAdapter(), FullFineTuning()):
        with pytest.raises(ValueError, match="already carries an adapter"):
            attach(adapted, second, seed=0)
