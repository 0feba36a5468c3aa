from __future__ import annotations

import logging
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import ia2_training
import pytest
import torch
from ia2_training import (
    METHODS,
    Adapted,
    Alignment,
    Check,
    FullFineTuning,
    Ia3Adapter,
    LoraAdapter,
    Method,
    PrefixAdapter,
    PromptAdapter,
    TeacherTargets,
    TrainingConfig,
    TrainingExample,
    adapt,
    attach,
    detach,
    progress,
)
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

SHORT = TrainingConfig.strict(learning_rate=1e-2, epochs=6)
IDS = torch.tensor([[5, 6, 7, 8]])


def quiet(_: Check) -> None:
    pass


def trained(adapted: Adapted) -> list[Tensor]:
    """The weights of the adapter, which is then taken off."""
    weights = [value.detach().clone() for value in adapted.model.parameters() if value.requires_grad]
    adapted.detach()
    return weights


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def run(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]) -> Any:
    """`adapt` on two training and two dev examples."""

    def run(**arguments: Any) -> Adapted:
        settings: dict[str, Any] = {"config": SHORT, "progress": quiet}
        return adapt(model, tokenizer, examples[:2], examples[2:], **settings | arguments)

    return run


@pytest.mark.parametrize("method", METHODS)
def test_every_method_lowers_its_losses(run: Any, method: str) -> None:
    history = run(method=method).history
    assert [phase.loss for phase in history] == [loss.name for loss in Method(method).phases]
    for phase in history:
        assert phase.steps == len(phase.train_losses) == 6
        assert phase.train_losses[-1] < 0.9 * phase.train_losses[0]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bits(run: Any, method: str) -> None:
    torch.manual_seed(1)
    first = trained(run(method=method))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert same(first, trained(run(method=method)))
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are untouched"
    assert not same(first, trained(run(method=method, config=replace(SHORT, seed=1))))


def test_the_seed_decides_the_order(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, many_examples: list[TrainingExample]
) -> None:
    """With a vanishing learning rate and all adapters alike at the start, batch losses differ by their members only."""
    losses = {}
    for seed in (0, 1):
        config = TrainingConfig.strict(learning_rate=1e-30, epochs=2, seed=seed)
        adapted = adapt(qwen3, tokenizer, many_examples[:8], method="sft", config=config, progress=quiet)
        losses[seed] = adapted.history[0].train_losses
        adapted.detach()
    assert len(set(losses[0] + losses[1])) > 4
    for order in losses.values():
        assert order[0] + order[1] == pytest.approx(order[2] + order[3]), "an epoch is a permutation"


@pytest.mark.parametrize("method", ["ia2_sft", "sft_ia2"])
def test_two_phases_in_one_go_or_from_a_saved_first_phase(run: Any, tmp_path: Path, method: str) -> None:
    whole = run(method=method)
    history = whole.history
    at_once = trained(whole)
    first = run(method=Method(method).before_last_phase)
    first.save(tmp_path)
    first.detach()
    second = run(method=method, initial_adapter=tmp_path)
    assert second.history == history[1:]
    assert same(at_once, trained(second))


@pytest.mark.parametrize(
    "method",
    [
        Method("ia2", alignment=Alignment(output="residual")),
        Method("ia2", alignment=Alignment(output="mlp", layers=(1,), distance="cosine")),
        Method("ia2_sft", labels="icl_outputs", alignment=Alignment(layers=(0,), distance="normalised_mse")),
        Method("ia2+sft", sft_weight=0.1),
        Method("soft_sft", top_k=4),
    ],
    ids=str,
)
def test_choices_of_a_method(run: Any, method: Method) -> None:
    history = run(method=method).history
    assert [phase.loss for phase in history] == [loss.name for loss in method.phases]
    for phase in history:
        assert phase.train_losses[-1] < 0.9 * phase.train_losses[0]


@pytest.mark.parametrize("method", ["ia2_sft", "ia2+sft"])
@pytest.mark.parametrize(
    "adapter", [Ia3Adapter(), PromptAdapter(4), PrefixAdapter(4), FullFineTuning()], ids=lambda a: type(a).__name__
)
def test_every_adapter_is_trained_saved_and_taken_off(
    run: Any, model: PreTrainedModel, tmp_path: Path, adapter: Any, method: str
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = run(method=method, adapter=adapter)
    for phase in adapted.history:
        assert phase.train_losses[-1] < phase.train_losses[0]
    logits = adapted.model(IDS).logits
    adapted.save(tmp_path)
    base = adapted.detach()
    assert base is model
    assert before.keys() == base.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    again = run(method=method, adapter=adapter, config=replace(SHORT, learning_rate=1e-30), initial_adapter=tmp_path)
    torch.testing.assert_close(again.model(IDS).logits, logits, atol=1e-5, rtol=0)
    assert len(again.history) == len(Method(method).phases[-1:])


@pytest.mark.parametrize("method", METHODS)
def test_gradient_checkpointing_changes_nothing(run: Any, model: PreTrainedModel, method: str) -> None:
    forwards: list[None] = []
    model.model.layers[0].self_attn.register_forward_hook(lambda *_: forwards.append(None))
    plain = trained(run(method=method))
    once = len(forwards)
    forwards.clear()
    checkpointed = trained(run(method=method, config=replace(SHORT, gradient_checkpointing=True)))
    assert len(forwards) > once, "layers run again in the backward pass"
    for one, other in zip(plain, checkpointed, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_shared_targets_change_nothing(
    run: Any, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    config = replace(SHORT, max_new_tokens=4)
    collected_here = trained(run(method="ia2", config=config))
    targets = TeacherTargets.collect(model, tokenizer, examples[:2], examples[2:], max_new_tokens=4)
    assert same(collected_here, trained(run(method="ia2", config=config, targets=targets)))
    cut = replace(config, answer_end=lambda text: 1)
    targets = TeacherTargets.collect(
        model, tokenizer, examples[:2], examples[2:], max_new_tokens=4, answer_end=cut.answer_end
    )
    assert {len(target.response_ids) for target in targets.train} == {2}  # one token and the end
    cut_here = trained(run(method="ia2", config=cut))
    assert same(cut_here, trained(run(method="ia2", config=config, targets=targets)))
    assert not same(cut_here, collected_here)
    with pytest.raises(ValueError, match="1 targets, 2 examples"):
        run(method="ia2", targets=TeacherTargets(targets.train[:1], targets.dev))


@pytest.mark.parametrize("method", ["sft", "ia2"])
def test_micro_batches_accumulate_the_gradient_of_the_whole_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, long_examples: list[TrainingExample], method: str
) -> None:
    config = TrainingConfig.strict(learning_rate=1e-2, epochs=3, max_new_tokens=5)
    losses = []
    for micro_batch_size in (None, 3, 1):
        adapted = adapt(
            model.double(),
            tokenizer,
            long_examples,
            long_examples[:3],
            method=method,
            config=replace(config, micro_batch_size=micro_batch_size),
            progress=quiet,
        )
        losses.append([*adapted.history[0].train_losses, *adapted.history[0].dev_losses.values()])
        adapted.detach()
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


def test_a_step_is_one_of_adam_on_the_mean_of_the_examples(
    run: Any, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """The first step of Adam from its formula: lr * g / (|g| + eps), here for lora_B, with HF's own loss."""
    adapted = attach(model, LoraAdapter(), seed=0)
    parameters = [value for value in adapted.parameters() if value.requires_grad]
    for example in examples[:2]:
        prompt, answer = tokenizer(example.prompt)["input_ids"], tokenizer(example.answer)["input_ids"][-1:]
        tokens = torch.tensor([prompt + answer])
        labels = torch.tensor([[-100] * len(prompt) + answer])
        (adapted(tokens, labels=labels).loss / 2).backward()
    expected = [(v - 1e-2 * v.grad / (v.grad.abs() + 1e-8)).detach() for v in parameters if v.grad is not None]
    detach(adapted)
    config = TrainingConfig.paper(learning_rate=1e-2, epochs=1)
    for value, other in zip(trained(run(method="sft", config=config)), expected, strict=True):
        torch.testing.assert_close(value, other, atol=1e-4, rtol=0)


def test_a_saved_adapter_is_an_ordinary_peft_adapter(run: Any, model: PreTrainedModel, tmp_path: Path) -> None:
    adapted = run()
    logits = adapted.model(IDS).logits
    adapted.save(tmp_path / "adapter")
    adapted.save(tmp_path / "adapter")  # over an earlier one
    names = {file.name for file in (tmp_path / "adapter").iterdir()}
    assert names >= {"adapter_config.json", "adapter_model.safetensors"}
    assert not [name for name in names if name.startswith(".")]
    base = adapted.detach()
    assert not torch.allclose(base(IDS).logits, logits, atol=1e-3)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert torch.equal(loaded(IDS).logits, logits)


def test_bfloat16_base(run: Any, model: PreTrainedModel, tmp_path: Path) -> None:
    model.bfloat16()
    adapted = run(method="ia2_sft")
    adapted.save(tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "adapter_model.safetensors").values()} == {torch.float32}
    assert all(phase.train_losses[-1] < phase.train_losses[0] for phase in adapted.history)


def test_a_failure_leaves_the_base_as_it_was(run: Any, model: PreTrainedModel) -> None:
    logits = model(IDS).logits

    def interrupt(_: Check) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=interrupt)
    assert not hasattr(model, "peft_config")
    assert torch.equal(model(IDS).logits, logits)


def test_progress_sees_every_check(run: Any) -> None:
    checks: list[Check] = []
    (phase,) = run(method="sft", progress=checks.append).history
    assert [check.step for check in checks] == list(phase.dev_losses) == [0, 1, 2, 3, 4, 5, 6]
    assert [check.dev_loss for check in checks] == list(phase.dev_losses.values())
    assert checks[0].train_loss is None
    assert str(checks[6]).startswith("cross_entropy  step 6/6  loss ")


def test_log_lines_without_a_terminal(
    run: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO, logger="ia2_training"):
        run(progress=None).detach()
        assert [line.split()[0] for line in caplog.messages] == ["alignment", "cross_entropy"]
        assert all(line.endswith("done") for line in caplog.messages)
        caplog.clear()
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
        run(progress=None)
    assert len(caplog.messages) > 10


def test_a_bar_on_a_terminal(
    run: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with caplog.at_level(logging.INFO, logger="ia2_training"):
        run(progress=None)
    shown = capsys.readouterr().err
    assert "alignment" in shown
    assert "dev loss" in shown
    assert caplog.messages == []


def test_the_example_in_the_package_documentation(
    qwen3: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda *_, **__: qwen3)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda *_, **__: tokenizer)
    assert ia2_training.__doc__ is not None
    code = textwrap.dedent(ia2_training.__doc__.split("\n\n", 1)[1])
    assert len(code.splitlines()) <= 11
    exec(code, {})
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()


def test_what_cannot_be_trained_is_refused(
    run: Any, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match="Did you mean 'ia2_sft'"):
        run(method="ia2-sft")
    with pytest.raises(ValueError, match="no training examples"):
        adapt(model, tokenizer, [])
    run()
    with pytest.raises(ValueError, match="already carries an adapter"):
        run()
