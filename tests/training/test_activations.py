from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from ia2_training import LoraAdapter, Output, attach, layer_count, record_activations, recorded_modules
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from tests.training.test_families import FAMILIES

IDS = torch.tensor([[5, 6, 7, 8, 9], [15, 16, 17, 18, 19]])
OUTPUTS: list[Output] = ["attention", "residual", "mlp"]


@pytest.fixture(params=FAMILIES)
def base(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return FAMILIES[request.param]().eval().requires_grad_(False)


def recorded(model: PreTrainedModel, output: Output) -> list[Tensor]:
    with record_activations(model, 5, output) as activations:
        model(IDS)
    return activations


def test_the_residual_is_what_transformers_calls_hidden_states(base: PreTrainedModel) -> None:
    hidden = base(IDS, output_hidden_states=True).hidden_states  # the embeddings, then after each layer
    first, last = recorded(base, "residual")
    torch.testing.assert_close(first, hidden[1], atol=0, rtol=0)
    torch.testing.assert_close(base.get_decoder().norm(last), hidden[2], atol=0, rtol=0)  # the last one is normalised


def test_the_mlp_is_called_on_what_attention_has_added_to(base: PreTrainedModel) -> None:
    """The layer, step by step, from its submodules."""
    before = base(IDS, output_hidden_states=True).hidden_states[0]
    layer = base.get_decoder().layers[0]
    attention, residual, mlp = (recorded(base, output)[0] for output in OUTPUTS)
    if hasattr(layer, "pre_feedforward_layernorm"):  # Gemma 3 normalises both branches once more
        middle = before + layer.post_attention_layernorm(attention)
        expected = layer.mlp(layer.pre_feedforward_layernorm(middle))
        after = middle + layer.post_feedforward_layernorm(mlp)
    else:
        middle = before + attention
        expected = layer.mlp(layer.post_attention_layernorm(middle))
        after = middle + mlp
    torch.testing.assert_close(mlp, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(residual, after, atol=1e-5, rtol=1e-5)


def test_attention_is_recorded_after_its_output_projection(base: PreTrainedModel) -> None:
    projected: list[Tensor] = []
    for layer in base.get_decoder().layers:
        layer.self_attn.o_proj.register_forward_hook(lambda _module, _args, output: projected.append(output))
    for one, other in zip(recorded(base, "attention"), projected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("output", OUTPUTS)
def test_layers_positions_and_the_end_of_recording(base: PreTrainedModel, output: Output) -> None:
    everything = recorded(base, output)
    assert [value.shape for value in everything] == [(2, 5, 32)] * 2
    with record_activations(base, 2, output, layers=[1, 0]) as some:
        base(IDS)
    for chosen, layer in zip(some, (1, 0), strict=True):
        assert torch.equal(chosen, everything[layer][:, -2:])
    kept = list(some)
    base(IDS + 1)
    assert all(one is other for one, other in zip(some, kept, strict=True)), "nothing is recorded afterwards"
    assert not any(module._forward_hooks for module in recorded_modules(base, output))


@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_flow_through_all_earlier_layers(
    make_model: Callable[[str], PreTrainedModel], output: Output
) -> None:
    adapted = attach(make_model("qwen3"), LoraAdapter(), seed=0)
    with record_activations(adapted, 1, output, layers=[1]) as activations:
        adapted(IDS)
    earlier = [p for name, p in adapted.named_parameters() if "layers.0" in name and "lora_B" in name]
    gradients = torch.autograd.grad(activations[0].sum(), earlier)
    assert len(gradients) == 3
    assert all(gradient.any() for gradient in gradients)


def test_an_unknown_layout_is_refused_with_what_was_found() -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=99, n_embd=16, n_layer=1, n_head=2))
    for output, place in (("attention", r"layers\[i\]\.self_attn"), ("residual", r"layers\[i\]`")):
        with pytest.raises(ValueError, match=rf"GPT2\w+ has no modules at `{place}.*found: .*GPT2Attention"):
            recorded_modules(gpt2, output)  # type: ignore[arg-type]


def test_a_layer_without_the_module_is_refused(qwen3: PreTrainedModel) -> None:
    """Hybrid models have layers without self-attention."""
    assert layer_count(qwen3) == 2
    qwen3.model.layers[1].linear_attn = qwen3.model.layers[1].self_attn
    del qwen3.model.layers[1].self_attn
    with pytest.raises(ValueError, match=r"self_attn"):
        recorded_modules(qwen3)
