from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from ia2_training import (
    AlignmentLoss,
    CrossEntropyLoss,
    LoraAdapter,
    Loss,
    Targets,
    TrainingExample,
    alignment,
    attach,
    collect_targets,
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
    assert isinstance(targets[0].source, Tensor)
    return [Targets(t.response_ids[: i + 2], t.activations[:, : i + 2]) for i, t in enumerate(targets)]


@contextmanager
def o_proj_outputs(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the attention blocks add to the residual stream, taken where it is produced, in layer order."""
    outputs: list[Tensor] = []
    modules = [module for name, module in model.named_modules() if name.endswith(".o_proj")]
    hooks = [module.register_forward_hook(lambda _m, _a, output: outputs.append(output)) for module in modules]
    yield outputs
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("loss", [AlignmentLoss(), CrossEntropyLoss()], ids=lambda loss: loss.name)
def test_batched_equals_one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample], loss: Loss
) -> None:
    targets = ragged(collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS))
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


def test_alignment_by_hand() -> None:
    """Two layers, two positions of which the second row has one, width 2."""
    student = torch.zeros(2, 2, 2, 2)
    teacher = torch.tensor([[[[1.0, 0], [0, 1]], [[2, 2], [2, 2]]], [[[9, 9], [1, 1]], [[9, 9], [3, 0]]]])
    mask = torch.tensor([[True, True], [False, True]])
    # First row: 2/4 + 16/4; second row: 2/2 + 9/2.
    assert alignment(student, teacher, mask).tolist() == [4.5, 5.5]


def test_paper_alignment_is_quantised_by_the_dtype_of_the_model() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 2, 4, 16).bfloat16()
    mask = torch.ones(3, 4, dtype=torch.bool)
    strict = alignment(student, teacher, mask, float32=True)
    paper = alignment(student, teacher, mask, float32=False)
    assert strict.dtype == torch.float32
    assert paper.dtype == torch.bfloat16
    published = torch.stack([((s - t) ** 2).mean() * 2 for s, t in zip(student, teacher, strict=True)])
    torch.testing.assert_close(paper, published, atol=0, rtol=2**-8)
    assert not torch.equal(strict, paper.float())


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
