from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from ia2_training import (
    Alignment,
    AlignmentLoss,
    CrossEntropyLoss,
    JointLoss,
    LoraAdapter,
    Loss,
    SoftLabelLoss,
    Targets,
    TrainingExample,
    attach,
    collect_targets,
    soft_label_divergence,
)
from ia2_training.batches import TokenSequence, encode_prompt, make_batch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

TOKENS = 5


def student_of(model: PreTrainedModel) -> PeftModel:
    """The model with an adapter that does something."""
    student = attach(model, LoraAdapter(), seed=1)
    torch.manual_seed(2)
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return student


def sequences_of(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[TrainingExample], targets: Sequence[Targets]
) -> list[TokenSequence]:
    prompts = [encode_prompt(tokenizer, example.prompt) for example in examples]
    return [TokenSequence(prompt, target.response_ids) for prompt, target in zip(prompts, targets, strict=True)]


def ragged(targets: Sequence[Targets]) -> list[Targets]:
    """Responses of 2, 3, 4, ... tokens."""

    def cut(target: Targets, length: int) -> Targets:
        distributions = target.distributions()[0][:length] if target.log_probabilities is not None else None
        ids, activations = target.response_ids[:length], target.activations[:, :length]
        return replace(target, response_ids=ids, source=activations, log_probabilities=distributions)

    return [cut(target, index + 2) for index, target in enumerate(targets)]


@contextmanager
def o_proj_outputs(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the attention blocks add to the residual stream, taken where it is produced, in layer order."""
    outputs: list[Tensor] = []
    modules = [module for name, module in model.named_modules() if name.endswith(".o_proj")]
    hooks = [module.register_forward_hook(lambda _m, _a, output: outputs.append(output)) for module in modules]
    yield outputs
    for hook in hooks:
        hook.remove()


LOSSES: list[Loss] = [
    AlignmentLoss(),
    AlignmentLoss(Alignment(output="residual", distance="cosine")),
    AlignmentLoss(Alignment(output="mlp", layers=(-1,), distance="normalised_mse")),
    CrossEntropyLoss(),
    CrossEntropyLoss("teacher"),
    JointLoss(0.3),
    SoftLabelLoss(),
    SoftLabelLoss(top_k=3),
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_batched_equals_one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample], loss: Loss
) -> None:
    output = loss.alignment.output if isinstance(loss, AlignmentLoss) else "attention"
    collected = collect_targets(
        model, tokenizer, examples, max_new_tokens=TOKENS, output=output, distributions=isinstance(loss, SoftLabelLoss)
    )
    targets = ragged(collected)
    sequences = sequences_of(tokenizer, examples, targets)
    student = student_of(model)
    trainable = [parameter for parameter in student.parameters() if parameter.requires_grad]

    batched = loss(student, make_batch(sequences), targets, float32=True)
    batched_gradients = torch.autograd.grad(batched.mean(), trainable)

    alone = torch.cat(
        [loss(student, make_batch([s]), [t], float32=True) for s, t in zip(sequences, targets, strict=True)]
    )
    gradients = torch.autograd.grad(alone.mean(), trainable)
    assert batched.shape == (len(examples),)
    torch.testing.assert_close(batched, alone, atol=1e-5, rtol=1e-5)
    assert max(gradient.abs().max() for gradient in gradients) > 1e-3
    for one, other in zip(batched_gradients, gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_alignment_is_the_sum_over_layers_of_mean_squared_errors(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """arXiv 2509.22621, by explicit loops, one example at a time, without padding."""
    targets = ragged(collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS))
    sequences = sequences_of(tokenizer, examples, targets)
    student = student_of(model)
    losses = AlignmentLoss()(student, make_batch(sequences), targets, float32=True)

    for loss, sequence, target in zip(losses, sequences, targets, strict=True):
        last_prompt, length = len(sequence.prompt_ids) - 1, len(sequence.response_ids)
        with o_proj_outputs(student) as outputs, torch.no_grad():
            student(torch.tensor([sequence.prompt_ids + sequence.response_ids]))
        assert len(outputs) == 2
        expected = 0.0
        for layer, output in enumerate(outputs):
            squares = [
                (output[0, last_prompt + g, column] - target.activations[layer, g, column]).item() ** 2
                for g in range(length)
                for column in range(output.shape[-1])
            ]
            expected += sum(squares) / len(squares)
        assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_no_distance_from_a_teacher_without_demonstrations_to_a_fresh_adapter(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """Only positions P..P+G-1 agree: the same targets one position off do not."""
    bare = [TrainingExample(example.prompt, example.answer) for example in examples]
    targets = collect_targets(model, tokenizer, bare, max_new_tokens=TOKENS)
    sequences = sequences_of(tokenizer, bare, targets)
    student = attach(model, LoraAdapter(), seed=0)
    losses = AlignmentLoss()(student, make_batch(sequences), targets, float32=True)
    torch.testing.assert_close(losses, torch.zeros(len(bare)), atol=1e-9, rtol=0)

    shifted = [Targets(t.response_ids, t.activations.roll(1, dims=1)) for t in targets]
    assert AlignmentLoss()(student, make_batch(sequences), shifted, float32=True).min() > 1e-3


def test_cross_entropy_is_that_of_hugging_face(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    sequences = [
        TokenSequence(encode_prompt(tokenizer, example.prompt), tuple(range(9, 10 + index)))
        for index, example in enumerate(examples)
    ]
    losses = CrossEntropyLoss()(model, make_batch(sequences), [], float32=True)
    for loss, sequence in zip(losses, sequences, strict=True):
        tokens = torch.tensor([sequence.prompt_ids + sequence.response_ids])
        labels = tokens.clone()
        labels[:, : len(sequence.prompt_ids)] = -100
        assert loss.item() == pytest.approx(model(tokens, labels=labels).loss.item(), abs=1e-5)


@pytest.fixture
def case(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> Callable[[Loss], Tensor]:
    """A loss of a student with ragged targets of its teacher."""
    targets = ragged(collect_targets(qwen3, tokenizer, examples, max_new_tokens=TOKENS, distributions=True))
    batch = make_batch(sequences_of(tokenizer, examples, targets))
    student = student_of(qwen3)

    def case(loss: Loss) -> Tensor:
        with torch.no_grad():
            return loss(student, batch, targets, float32=True)

    return case


@pytest.mark.parametrize("weight", [0.0, 0.001, 0.5, 1.0])
def test_joint_is_the_convex_mix_on_the_outputs_of_the_teacher(case: Callable[[Loss], Tensor], weight: float) -> None:
    aligned, labelled = case(AlignmentLoss()), case(CrossEntropyLoss("teacher"))
    assert (aligned - labelled).abs().min() > 0.1, "the two must differ for this to say anything"
    torch.testing.assert_close(case(JointLoss(weight)), (1 - weight) * aligned + weight * labelled)
    relative = Alignment(layers=(1,), distance="cosine")
    mixed = (1 - weight) * case(AlignmentLoss(relative)) + weight * labelled
    torch.testing.assert_close(case(JointLoss(weight, relative)), mixed)


def test_joint_takes_one_forward_pass(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    targets = collect_targets(qwen3, tokenizer, examples, max_new_tokens=TOKENS)
    passes: list[Any] = []
    qwen3.register_forward_hook(lambda *_: passes.append(None))
    JointLoss(0.5)(qwen3, make_batch(sequences_of(tokenizer, examples, targets)), targets, float32=True)
    assert len(passes) == 1


def test_layers_add_up(case: Callable[[Loss], Tensor]) -> None:
    one, other = (case(AlignmentLoss(Alignment(layers=(layer,)))) for layer in (0, -1))
    assert not torch.allclose(one, other, rtol=0.01)
    torch.testing.assert_close(one + other, case(AlignmentLoss()))
    torch.testing.assert_close(case(AlignmentLoss(Alignment(layers=(1, 0)))), case(AlignmentLoss()))


def slow_divergence(logits: list[float], teacher: dict[int, float]) -> float:
    """KL of one position, token by token; the mass that `teacher` does not name is spread over all other tokens."""
    total = sum(math.exp(logit) for logit in logits)
    rest = (1 - sum(teacher.values())) / max(len(logits) - len(teacher), 1)
    divergence = 0.0
    for token, logit in enumerate(logits):
        p = teacher.get(token, rest)
        divergence += p * (math.log(p) - math.log(math.exp(logit) / total)) if p > 0 else 0.0
    return divergence


@pytest.mark.parametrize("k", [1, 2, 5, 6, None])
def test_soft_labels_by_a_slow_loop(k: int | None) -> None:
    draws = torch.Generator().manual_seed(0)
    logits, teacher_logits = 3 * torch.randn(2, 2, 3, 6, generator=draws, dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [False, False, True]])
    teacher = teacher_logits.log_softmax(-1)
    values, ids = teacher.topk(k) if k else (teacher, None)
    computed = soft_label_divergence(logits, values, ids, mask)
    assert computed.dtype == torch.float64
    for row, positions in enumerate(([0, 1, 2], [2])):
        expected = []
        for position in positions:
            tokens = range(6) if ids is None else ids[row, position].tolist()
            named = {token: teacher[row, position, token].exp().item() for token in tokens}
            expected.append(slow_divergence(logits[row, position].tolist(), named))
        assert computed[row].item() == pytest.approx(sum(expected) / len(expected), rel=1e-9)
    if k is None:
        student = torch.distributions.Categorical(logits=logits)
        divergence = torch.distributions.kl_divergence(torch.distributions.Categorical(logits=teacher), student)
        assert computed[0].item() == pytest.approx(divergence[0].mean().item(), rel=1e-9)


@pytest.mark.parametrize("k", [1, 3, None])
def test_soft_labels_of_a_certain_teacher_are_cross_entropy(k: int | None) -> None:
    """A teacher that leaves no mass for other tokens; 0 log 0 = 0, also in the gradient."""
    logits = torch.randn(1, 2, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    teacher = torch.full((1, 2, 6), -math.inf)
    teacher[0, 0, 4] = teacher[0, 1, 2] = 0.0
    values, ids = teacher.topk(k) if k else (teacher, None)
    computed = soft_label_divergence(logits, values, ids, torch.ones(1, 2, dtype=torch.bool))
    expected = torch.nn.functional.cross_entropy(logits[0], torch.tensor([4, 2]))
    torch.testing.assert_close(computed[0], expected)
    gradients = [torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (computed.sum(), expected)]
    torch.testing.assert_close(*gradients)


def test_soft_labels_vanish_for_the_teacher_itself(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """Only where distribution g is the one that predicts response token g; also after padding."""
    bare = [TrainingExample(example.prompt, example.answer) for example in examples]
    targets = ragged(collect_targets(qwen3, tokenizer, bare, max_new_tokens=TOKENS, distributions=True))
    batch = make_batch(sequences_of(tokenizer, bare, targets))
    losses = SoftLabelLoss()(qwen3, batch, targets, float32=True)
    torch.testing.assert_close(losses, torch.zeros(len(bare)), atol=1e-5, rtol=0)
    few = SoftLabelLoss(top_k=2)(qwen3, batch, targets, float32=True)
    assert few.min() > 0.01, "the mass beyond the two is spread evenly, which is not what the teacher does"


def test_alignment_takes_one_position_through_the_head(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    targets = collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS)
    positions: list[int] = []
    model.lm_head.register_forward_pre_hook(lambda _module, args: positions.append(args[0].shape[1]))
    AlignmentLoss()(model, make_batch(sequences_of(tokenizer, examples, targets)), targets, float32=True)
    assert positions == [1]


def test_targets_of_another_model_are_refused(
    make_model: Callable[[str], PreTrainedModel], tokenizer: PreTrainedTokenizerFast
) -> None:
    targets = [Targets((5,), torch.zeros(1, 1, 32))]  # would broadcast over two layers
    with pytest.raises(ValueError, match="another model"):
        AlignmentLoss()(make_model("qwen3"), make_batch([TokenSequence((4,), (5,))]), targets, float32=True)


def test_targets_of_another_output_or_without_distributions_are_refused(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    targets = collect_targets(qwen3, tokenizer, examples)
    batch = make_batch(sequences_of(tokenizer, examples, targets))
    with pytest.raises(ValueError, match="'attention' activations, not 'mlp'"):
        AlignmentLoss(Alignment(output="mlp"))(qwen3, batch, targets, float32=True)
    with pytest.raises(ValueError, match="distributions=True"):
        SoftLabelLoss()(qwen3, batch, targets, float32=True)
    with pytest.raises(ValueError, match="no layer 2"):
        AlignmentLoss(Alignment(layers=(2,)))(qwen3, batch, targets, float32=True)


def test_a_student_that_is_no_longer_a_number_is_not_taken_for_a_perfect_one() -> None:
    teacher = torch.tensor([[[0.0, -math.inf, -math.inf]]])
    mask = torch.ones(1, 1, dtype=torch.bool)
    assert soft_label_divergence(torch.full((1, 1, 3), math.nan), teacher, None, mask).isnan().all()
