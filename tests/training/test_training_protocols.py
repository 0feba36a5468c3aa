"""When a phase is checked, when it stops and what it keeps; each point in which the protocols differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from ia2_training import METHODS, Adapted, Check, Method, PhaseHistory, Targets, TrainingConfig, TrainingExample, adapt
from ia2_training.adapt import prepare
from ia2_training.batches import Batch
from ia2_training.losses import Response
from ia2_training.methods import Definition
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

Run = Callable[..., Adapted]


@pytest.fixture
def fit(qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Run:
    """SFT towards the label 1, with a dev set whose label is given."""

    def fit(config: TrainingConfig, n: int = 4, dev_label: str = "1", dev: int = 2, **arguments: Any) -> Adapted:
        train_set = [TrainingExample(f"Text:w{i}\nLabel:", "1") for i in range(n)]
        dev_set = [TrainingExample(f"Text:w{i}\nLabel:", dev_label) for i in range(dev)]
        settings: dict[str, Any] = {"method": "sft", "progress": lambda check: None}
        return adapt(qwen3, tokenizer, train_set, dev_set, config=config, **settings | arguments)

    return fit


def final_dev_loss(adapted: Adapted, tokenizer: PreTrainedTokenizerFast, label: str) -> float:
    """Cross-entropy on the two dev examples of `fit`, as Hugging Face computes it."""
    losses: list[float] = []
    for index in range(2):
        ids = tokenizer(f"Text:w{index}\nLabel:{label}", return_tensors="pt")["input_ids"]
        labels = torch.full_like(ids, -100)
        labels[0, -1] = ids[0, -1]
        losses.append(adapted.model(ids, labels=labels).loss.item())
    return sum(losses) / 2


@pytest.mark.parametrize(
    ("n", "checks"),
    [
        (2, [1, 2, 3]),  # one step an epoch
        (4, [1, 2, 3]),
        (8, [2, 4, 6]),  # two steps an epoch, one check
        (16, [2, 4, 6, 8, 10, 12]),
        (12, [2, 3, 4, 6, 8, 9]),  # every second step and at the end of every epoch of three
        (5, [2, 4, 6]),  # the last batch of an epoch has one example
    ],
)
def test_dev_checks(fit: Run, n: int, checks: list[int]) -> None:
    (phase,) = fit(TrainingConfig.paper(learning_rate=1e-4, epochs=3), n=n).history
    assert list(phase.dev_losses) == checks
    assert phase.steps == checks[-1]
    assert phase.stop_reason == "budget"


def test_strict_also_checks_the_start(fit: Run) -> None:
    (phase,) = fit(TrainingConfig.strict(learning_rate=1e-4, epochs=3)).history
    assert list(phase.dev_losses) == [0, 1, 2, 3]


def test_strict_keeps_the_start_when_training_only_harms(
    fit: Run, qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    """The dev answer is what the base predicts already, and the training answer another."""
    ids = tokenizer("Text:w0\nLabel:", return_tensors="pt")["input_ids"]
    predicted = tokenizer.decode(qwen3(ids).logits[0, -1].argmax())
    assert predicted != "1"
    strict = fit(TrainingConfig.strict(learning_rate=1e-2, epochs=4), dev_label=predicted, dev=1)
    (phase,) = strict.history
    assert (phase.best_step, phase.kept_step, phase.steps) == (0, 0, 4)
    assert all(not value.any() for name, value in strict.model.named_parameters() if "lora_B" in name)
    strict.detach()

    (phase,) = fit(TrainingConfig.paper(learning_rate=1e-2), dev_label=predicted, dev=1).history
    assert (phase.best_step, phase.kept_step, phase.steps) == (1, 6, 6), "the start is no candidate, patience is 5"
    assert phase.stop_reason == "patience"


def test_strict_restores_the_best_weights_and_paper_keeps_the_last(
    fit: Run, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Both labels become likelier at first, then the dev label gives way."""
    strict = fit(TrainingConfig.strict(learning_rate=1e-2, patience=5), dev_label="0")
    (phase,) = strict.history
    losses = phase.dev_losses
    best = min(losses, key=lambda step: losses[step])
    assert 0 < best < phase.steps and losses[phase.steps] > losses[best], "the case is made so"
    assert phase.best_step == phase.kept_step == best
    assert (phase.steps, phase.stop_reason) == (best + 5, "patience")
    assert phase.dev_loss == losses[best]
    assert final_dev_loss(strict, tokenizer, "0") == pytest.approx(losses[best], abs=1e-5)
    strict.detach()

    paper = fit(TrainingConfig.paper(learning_rate=1e-2), dev_label="0")
    (phase,) = paper.history
    assert phase.dev_losses == {step: loss for step, loss in losses.items() if step > 0}
    assert (phase.best_step, phase.kept_step, phase.steps) == (best, best + 5, best + 5)
    assert phase.dev_loss == losses[best + 5]
    assert final_dev_loss(paper, tokenizer, "0") == pytest.approx(losses[best + 5], abs=1e-5)


def test_strict_is_patient_for_the_whole_budget(fit: Run) -> None:
    (phase,) = fit(TrainingConfig.strict(learning_rate=1e-2), dev_label="0").history
    assert (phase.steps, phase.stop_reason) == (50, "budget")


class ScriptedLoss:
    """Dev losses as told; training does nothing."""

    name = "scripted"
    response: Response = "ground_truth"

    def __init__(self, dev_losses: list[float]) -> None:
        self.dev_losses = iter(dev_losses)

    def __call__(self, model: PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool) -> Tensor:
        if torch.is_grad_enabled():
            parameter: Tensor = next(value for value in model.parameters() if value.requires_grad)
            return parameter.sum().expand(len(batch.input_ids)) * 0
        return torch.full((len(batch.input_ids),), next(self.dev_losses))


def test_patience_counts_consecutive_checks(fit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = ScriptedLoss([5, 6, 6, 4, 6, 6, 3, 6, 6, 6, 1])
    monkeypatch.setitem(METHODS, "scripted", Definition(lambda method: loss))
    (phase,) = fit(TrainingConfig.strict(patience=3), method="scripted").history
    assert list(phase.dev_losses.values()) == [5, 6, 6, 4, 6, 6, 3, 6, 6, 6]
    assert (phase.best_step, phase.steps, phase.stop_reason) == (6, 9, "patience")


def test_the_dev_loss_is_the_mean_over_examples_however_they_are_batched(fit: Run) -> None:
    losses = []
    for batch_size in (4, 8):
        adapted = fit(TrainingConfig.strict(epochs=1, batch_size=batch_size), dev=5)
        losses.append(adapted.history[0].dev_losses[0])
        adapted.detach()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_equal_dev_losses_are_no_improvement(fit: Run) -> None:
    """Steps too small to change the adapter."""
    (phase,) = fit(TrainingConfig.strict(learning_rate=1e-30, patience=3)).history
    assert len(set(phase.dev_losses.values())) == 1
    assert (phase.best_step, phase.steps, phase.stop_reason) == (0, 3, "patience")


def test_without_a_dev_set_the_last_weights_are_kept(fit: Run) -> None:
    checks: list[Check] = []
    (phase,) = fit(
        TrainingConfig.strict(learning_rate=1e-2, epochs=3, patience=1), dev=0, progress=checks.append
    ).history
    assert phase.dev_losses == {}
    assert (phase.best_step, phase.kept_step, phase.steps, phase.stop_reason) == (None, 3, 3, "budget")
    assert phase.dev_loss is None
    assert [(check.step, check.dev_loss) for check in checks] == [(0, None), (1, None), (2, None), (3, None)]


def test_a_dev_loss_that_is_not_a_number_is_no_improvement(fit: Run) -> None:
    adapted = fit(TrainingConfig.strict(learning_rate=1e38, epochs=5))
    (phase,) = adapted.history
    assert phase.dev_losses[5] != phase.dev_losses[5]
    assert phase.kept_step == 0
    assert all(value.isfinite().all() for value in adapted.model.parameters())


def alignment_phase(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, config: TrainingConfig, examples: list[TrainingExample]
) -> PhaseHistory:
    adapted = adapt(
        model, tokenizer, examples[:1], examples[1:2], method="ia2", config=config, progress=lambda check: None
    )
    adapted.detach()
    return adapted.history[0]


def test_paper_compares_activations_in_the_dtype_of_the_model_and_strict_in_float32(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    def in_bfloat16(config: TrainingConfig) -> bool:
        phase = alignment_phase(model.bfloat16(), tokenizer, config, examples)
        losses = torch.tensor([*phase.dev_losses.values(), *phase.train_losses])
        return torch.equal(losses, losses.bfloat16().float())

    assert in_bfloat16(TrainingConfig.paper(learning_rate=1e-3, epochs=4))
    assert not in_bfloat16(TrainingConfig.strict(learning_rate=1e-3, epochs=4))


def test_the_joint_loss_aligns_in_the_dtype_of_the_protocol(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """With weight 0 nothing but the alignment is left of it."""

    def in_bfloat16(config: TrainingConfig) -> bool:
        method = Method("ia2+sft", sft_weight=0)
        adapted = adapt(
            qwen3.bfloat16(), tokenizer, examples[:1], method=method, config=config, progress=lambda check: None
        )
        adapted.detach()
        losses = torch.tensor(adapted.history[0].train_losses)
        return torch.equal(losses, losses.bfloat16().float())

    assert in_bfloat16(TrainingConfig.paper(learning_rate=1e-3, epochs=4))
    assert not in_bfloat16(TrainingConfig.strict(learning_rate=1e-3, epochs=4))


@pytest.mark.parametrize("preset", [TrainingConfig.paper, TrainingConfig.strict])
def test_ia2_plus_sft_is_the_convex_mix_under_both_protocols(
    qwen3: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[TrainingExample],
    preset: Callable[..., TrainingConfig],
) -> None:
    """(1 - w) alignment + w cross-entropy on the teacher's outputs; not alignment + w cross-entropy."""

    def first_loss(method: Method) -> float:
        adapted = adapt(
            qwen3, tokenizer, examples[:2], method=method, config=preset(epochs=1), progress=lambda check: None
        )
        adapted.detach()
        return adapted.history[0].train_losses[0]

    aligned, labelled = first_loss(Method("ia2")), first_loss(Method("sft", labels="icl_outputs"))
    assert aligned > 0.1 and labelled != pytest.approx(first_loss(Method("sft")), rel=0.01)
    assert first_loss(Method("ia2+sft", sft_weight=0.2)) == pytest.approx(0.8 * aligned + 0.2 * labelled, rel=1e-5)


def test_strict_cuts_the_outputs_of_the_teacher_and_paper_keeps_them_whole(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """The rule comes with the data set; what is trained on is its outcome, in every phase on the teacher's outputs."""
    qwen3.generation_config.eos_token_id = None
    method = Method("ia2_sft", labels="icl_outputs")
    lengths, last = {}, {}
    for name, config in (
        ("paper", TrainingConfig.paper(max_new_tokens=6)),
        ("strict", TrainingConfig.strict(max_new_tokens=6, answer_end=lambda text: 1)),
    ):
        phases = prepare(qwen3, tokenizer, examples[:2], examples[2:], method, config)
        responses = [s.response_ids for p in phases for data in (*p.train, p.dev) for s in data.sequences]
        assert len(responses) == 8
        lengths[name] = {len(response) for response in responses}
        last[name] = {response[-1] for response in responses}
    assert lengths == {"paper": {6}, "strict": {2}}
    assert last["strict"] == {tokenizer.eos_token_id}
    assert tokenizer.eos_token_id not in last["paper"]


def test_presets() -> None:
    strict, paper = TrainingConfig.strict(1e-3, 200), TrainingConfig.paper(1e-3, 200)
    assert strict == TrainingConfig(learning_rate=1e-3, max_new_tokens=200)
    assert (strict.patience, strict.keep, strict.step_zero, strict.float32_losses) == (50, "best", True, True)
    assert (paper.patience, paper.keep, paper.step_zero, paper.float32_losses) == (5, "last", False, False)
    for shared in ("epochs", "batch_size", "eval_every", "seed"):
        assert getattr(strict, shared) == getattr(paper, shared)
    assert (strict.epochs, strict.batch_size, strict.eval_every) == (50, 4, 2)
    assert TrainingConfig.paper(patience=7).patience == 7


def test_all_faults_of_a_configuration_at_once() -> None:
    with pytest.raises(ValueError, match=r"epochs = 0.*micro_batch_size = 0.*learning_rate = -1.*keep = 'first'.*seed"):
        TrainingConfig(learning_rate=-1, epochs=0, micro_batch_size=0, keep="first", seed=-1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="learning_rate = nan"):
        TrainingConfig(learning_rate=float("nan"))
