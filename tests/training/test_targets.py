from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from ia2_training import (
    LoraAdapter,
    Output,
    Targets,
    TrainingExample,
    attach,
    collect_targets,
    decoding,
    record_activations,
)
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from tests.training.test_families import FAMILIES

TOKENS = 7


def slow_activations(model: PreTrainedModel, tokens: Sequence[int]) -> tuple[int, Tensor]:
    """The next token and the attention outputs [L, d] at the last position, by one whole forward pass."""
    outputs: list[Tensor] = []
    hooks = [
        layer.self_attn.o_proj.register_forward_hook(lambda _m, _a, output: outputs.append(output[0, -1]))
        for layer in model.model.layers
    ]
    with torch.no_grad():
        logits = model(torch.tensor([list(tokens)]), use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return int(logits[0, -1].argmax()), torch.stack(outputs)


def slow_targets(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, example: TrainingExample, count: int
) -> tuple[list[int], Tensor]:
    """The first tokens of the response and their activations [L, count, d]: the whole prefix anew for every token."""
    prefix = list(tokenizer(example.context)["input_ids"])
    response: list[int] = []
    activations = []
    for _ in range(count):
        token, last = slow_activations(model, prefix + response)
        response.append(token)
        activations.append(last)
    return response, torch.stack(activations, dim=1)


def assert_same(one: Sequence[Targets], other: Sequence[Targets], tolerance: float = 1e-5) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.response_ids == b.response_ids
        torch.testing.assert_close(a.activations, b.activations, atol=tolerance, rtol=0)


@contextmanager
def forward_passes(model: nn.Module) -> Iterator[list[int]]:
    """Widths of the inputs of the forward passes."""
    widths: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _m, _a, inputs: widths.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    yield widths
    hook.remove()


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_cached_decoding_equals_full_recomputation(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample], batch_size: int
) -> None:
    model.generation_config.eos_token_id = None
    targets = collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS, batch_size=batch_size)
    for target, example in zip(targets, examples, strict=True):
        response, activations = slow_targets(model, tokenizer, example, TOKENS)
        assert tokenizer.eos_token_id not in response
        assert list(target.response_ids) == response
        torch.testing.assert_close(target.activations, activations, atol=1e-5, rtol=0)
    assert len({token for target in targets for token in target.response_ids}) > 4, "the responses must vary"


def test_responses_are_those_of_generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    targets = collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS)
    for target, example in zip(targets, examples, strict=True):
        prompt = tokenizer(example.context, return_tensors="pt", return_token_type_ids=False)
        generated = model.generate(**prompt, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)
        assert list(target.response_ids) == generated[0, prompt["input_ids"].shape[1] :].tolist()


def test_a_single_token_takes_one_forward_pass(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    with forward_passes(model) as widths:
        targets = collect_targets(model, tokenizer, examples)
    assert widths == [max(len(tokenizer(example.context)["input_ids"]) for example in examples)]
    assert [target.activations.shape for target in targets] == [(2, 1, 32)] * len(examples)


def test_the_position_that_gives_the_end_token_is_included(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    example = examples[0]
    response, activations = slow_targets(qwen3, tokenizer, example, TOKENS)
    end = first_new_token(response)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(response[end])
    with forward_passes(qwen3) as widths:
        (target,) = collect_targets(qwen3, tokenizer, [example], max_new_tokens=TOKENS)
    assert list(target.response_ids) == response[: end + 1]
    torch.testing.assert_close(target.activations, activations[:, : end + 1], atol=1e-5, rtol=0)
    assert widths[1:] == [1] * end, "decoding stops when every row is done"


def test_another_end_token_is_followed_by_the_tokenizers_own(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    example = examples[0]
    response, _ = slow_targets(qwen3, tokenizer, example, TOKENS)
    end = first_new_token(response)
    qwen3.generation_config.eos_token_id = [tokenizer.eos_token_id, response[end]]
    (target,) = collect_targets(qwen3, tokenizer, [example], max_new_tokens=TOKENS)
    assert list(target.response_ids) == [*response[: end + 1], tokenizer.eos_token_id]
    _, last = slow_activations(qwen3, [*tokenizer(example.context)["input_ids"], *response[: end + 1]])
    torch.testing.assert_close(target.activations[:, -1], last, atol=1e-5, rtol=0)

    (cut_short,) = collect_targets(qwen3, tokenizer, [example], max_new_tokens=end + 1)
    assert list(cut_short.response_ids) == response[: end + 1], "nothing follows at the limit"


def first_new_token(response: list[int]) -> int:
    """A place after the first where a token occurs for the first time."""
    return next(i for i in range(2, len(response)) if response[i] not in response[:i])


@pytest.mark.parametrize("kept", [1, 3, TOKENS - 1])
@pytest.mark.parametrize("late", [True, False], ids=["seen-later", "seen-at-once"])
def test_cut_at_the_end_of_the_answer(
    qwen3: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[TrainingExample],
    kept: int,
    late: bool,
) -> None:
    """The answer ends within token `kept`; that is known at once, or only one token later."""
    example = examples[1]
    response, activations = slow_targets(qwen3, tokenizer, example, TOKENS)
    before, through, later = (len(tokenizer.decode(response[:count])) for count in (kept - 1, kept, kept + 1))

    def answer_end(text: str) -> int | None:
        return before + 1 if len(text) >= (later if late else through) else None

    whole, cut = collect_targets(
        qwen3, tokenizer, [TrainingExample("w9", ""), example], max_new_tokens=TOKENS, answer_end=answer_end
    )
    assert list(cut.response_ids) == [*response[:kept], tokenizer.eos_token_id]
    # What ends the response is aligned where the teacher predicted whatever came next.
    torch.testing.assert_close(cut.activations, activations[:, : kept + 1], atol=1e-5, rtol=0)
    assert whole.activations.shape[1] == len(whole.response_ids)


def test_a_token_that_runs_past_the_answer_is_kept(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """`.` ends the answer; the model gives `.` and a blank line as one token."""
    merged = tokenizer.convert_tokens_to_ids(".\n\n")
    forced = [tokenizer.convert_tokens_to_ids("w5"), merged, tokenizer.convert_tokens_to_ids("w6")]
    with scripted(qwen3, forced):
        (target,) = collect_targets(
            qwen3, tokenizer, examples[:1], max_new_tokens=9, answer_end=lambda text: text.find(".") + 1 or None
        )
    assert list(target.response_ids) == [forced[0], merged, tokenizer.eos_token_id]
    assert target.activations.shape == (2, 3, 32)


def test_paper_responses_are_whole(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    forced = [tokenizer.convert_tokens_to_ids(token) for token in ("w5", ".\n\n", "w6", "w7", "w8")]
    with scripted(qwen3, forced):
        (target,) = collect_targets(qwen3, tokenizer, examples[:1], max_new_tokens=5)
    assert list(target.response_ids) == forced


@contextmanager
def scripted(model: PreTrainedModel, tokens: list[int]) -> Iterator[None]:
    """Make the model predict these tokens, one in each forward pass."""
    script = iter(tokens)

    def force(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[..., next(script)] = 1e4
        return output

    hook = model.lm_head.register_forward_hook(force)
    yield
    hook.remove()


def test_an_adapter_is_off_while_the_teacher_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    base = collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS)
    adapted = attach(model, LoraAdapter(), seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    assert_same(collect_targets(adapted, tokenizer, examples, max_new_tokens=TOKENS), base, tolerance=0)
    with pytest.raises(ValueError, match="already carries an adapter"):
        collect_targets(model, tokenizer, examples)  # the adapter is in it, and cannot be switched off from here


def test_activations_keep_the_dtype_of_the_base(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    targets = collect_targets(model.bfloat16(), tokenizer, examples, distributions=True)
    assert {target.activations.dtype for target in targets} == {torch.bfloat16}
    assert {target.distributions()[0].dtype for target in targets} == {torch.float32}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("output", ["attention", "residual", "mlp"])
def test_every_family_and_output_against_full_recomputation(
    tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample], family: str, output: Output
) -> None:
    """Among them sliding windows that are shorter than the prompts."""
    torch.manual_seed(0)
    model = FAMILIES[family]().eval().requires_grad_(False)
    model.generation_config.eos_token_id = None
    tokenizer.eos_token = "<eot>"  # which none of them predicts
    targets = collect_targets(model, tokenizer, examples, max_new_tokens=4, output=output)
    for target, example in zip(targets, examples, strict=True):
        tokens = [*tokenizer(example.context)["input_ids"], *target.response_ids[:-1]]
        length = len(target.response_ids)
        with record_activations(model, length, output) as activations:
            logits = model(torch.tensor([tokens]), use_cache=False).logits
        assert list(target.response_ids) == logits[0, -length:].argmax(-1).tolist()
        torch.testing.assert_close(target.activations, torch.cat(activations), atol=1e-4, rtol=1e-4)
        assert target.output == output


def test_a_frozen_base_gives_the_same_bits(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    trainable = collect_targets(model, tokenizer, examples, distributions=True)
    assert all(parameter.requires_grad for parameter in model.parameters()), "the model is left as it was"
    model.requires_grad_(False)
    for one, other in zip(trainable, collect_targets(model, tokenizer, examples, distributions=True), strict=True):
        assert torch.equal(one.activations, other.activations)
        assert torch.equal(one.distributions()[0], other.distributions()[0])


@pytest.mark.parametrize("prefill_tokens", [1, 90, 10_000], ids=["alone", "in-groups", "together"])
def test_prefilling_in_groups_changes_nothing(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[TrainingExample],
    monkeypatch: pytest.MonkeyPatch,
    prefill_tokens: int,
) -> None:
    whole = collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS)
    monkeypatch.setattr(decoding, "PREFILL_TOKENS", prefill_tokens)
    with forward_passes(model) as widths:
        assert_same(collect_targets(model, tokenizer, examples, max_new_tokens=TOKENS), whole)
    prefills = len([width for width in widths if width > 1])
    assert prefills in {1: {4}, 90: {2, 3}, 10_000: {1}}[prefill_tokens]


def test_rows_that_are_done_leave_the_batch(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """One after the other stops, at its own length; the others go on undisturbed."""
    qwen3.generation_config.eos_token_id = None
    whole = collect_targets(qwen3, tokenizer, examples, max_new_tokens=12)
    texts = [tokenizer.decode(target.response_ids, skip_special_tokens=True) for target in whole]
    ends = {
        text[:4]: len(tokenizer.decode(target.response_ids[: 3 * index], skip_special_tokens=True))
        for index, (text, target) in enumerate(zip(texts, whole, strict=True), 1)
    }
    assert len(ends) == len(examples), "the texts must differ from the start"

    def answer_end(text: str) -> int | None:
        """The row of index i is cut after 3 (i + 1) tokens."""
        end = ends.get(text[:4], 1000)
        return end if len(text) >= end else None

    rows: list[int] = []
    qwen3.model.register_forward_pre_hook(
        lambda _m, _a, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    cut = collect_targets(qwen3, tokenizer, examples, max_new_tokens=12, answer_end=answer_end)
    for index, (short, long) in enumerate(zip(cut, whole, strict=True), 1):
        assert short.response_ids[: 3 * index] == long.response_ids[: 3 * index]
        assert len(short.response_ids) == min(3 * index + 1, 12)
        torch.testing.assert_close(short.activations, long.activations[:, : len(short.response_ids)], atol=1e-5, rtol=0)
    assert set(rows) == {4, 2, 1}


@pytest.mark.parametrize("top_k", [None, 1, 5])
def test_distributions_are_those_that_predicted_the_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample], top_k: int | None
) -> None:
    model.generation_config.eos_token_id = None
    targets = collect_targets(
        model, tokenizer, examples, max_new_tokens=TOKENS, distributions=True, top_k=top_k, answer_end=None
    )
    for target, example in zip(targets, examples, strict=True):
        log_probabilities, token_ids = target.distributions(top_k)
        prefix = list(tokenizer(example.context)["input_ids"])
        for position, token in enumerate(target.response_ids):
            logits = model(torch.tensor([prefix + list(target.response_ids[:position])])).logits[0, -1]
            expected = (logits.double().exp() / logits.double().exp().sum()).log().float()
            if token_ids is None:
                torch.testing.assert_close(log_probabilities[position], expected, atol=1e-4, rtol=0)
            else:
                assert token_ids[position, 0] == token
                assert token_ids[position].tolist() == expected.sort(descending=True).indices[:top_k].tolist()
                torch.testing.assert_close(
                    log_probabilities[position], expected[token_ids[position]], atol=1e-4, rtol=0
                )


def test_a_cut_response_has_distributions_and_activations_of_the_same_positions(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    def collect(**cut: Any) -> Targets:
        return collect_targets(qwen3, tokenizer, examples[:1], max_new_tokens=6, distributions=True, **cut)[0]

    whole, cut = collect(), collect(answer_end=lambda text: 1 if len(text) > 3 else None)
    assert len(cut.response_ids) == 2
    torch.testing.assert_close(cut.distributions()[0], whole.distributions()[0][:2])
    torch.testing.assert_close(cut.activations, whole.activations[:, :2])


def test_distributions_can_be_narrowed_but_not_widened(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    def collect(**asked: Any) -> Targets:
        return collect_targets(qwen3, tokenizer, examples[:1], max_new_tokens=3, distributions=True, **asked)[0]

    few, some, whole = collect(top_k=2), collect(top_k=6), collect()
    for wider in (some, whole):
        for one, other in zip(wider.distributions(2), few.distributions(2), strict=True):
            assert one is not None and other is not None
            assert torch.equal(one, other)
    with pytest.raises(ValueError, match=r"2 most probable tokens, not the 6 most.*top_k=6"):
        few.distributions(6)
    with pytest.raises(ValueError, match=r"6 most probable tokens, not the whole distributions.*top_k=None"):
        some.distributions()
    with pytest.raises(ValueError, match=r"distributions=True"):
        collect_targets(qwen3, tokenizer, examples[:1])[0].distributions()
    for too_many in (lambda: whole.distributions(10_000), lambda: collect(top_k=10_000)):
        with pytest.raises(ValueError, match=rf"top_k = 10000: the model's vocabulary has {len(tokenizer)} tokens"):
            too_many()
    with pytest.raises(ValueError, match="ask for distributions=True"):
        collect_targets(qwen3, tokenizer, examples, top_k=2)


def test_what_cannot_be_collected_is_refused(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=99, n_embd=16, n_layer=1, n_head=2))
    with pytest.raises(ValueError, match=r"Module classes found: .*GPT2Attention"):
        collect_targets(gpt2, tokenizer, examples)
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="end-of-sequence"):
        collect_targets(qwen3, tokenizer, examples, max_new_tokens=2)
    assert collect_targets(qwen3, tokenizer, examples)


def test_a_prompt_that_does_not_fit_is_refused(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    model.config.max_position_embeddings = 5
    with pytest.raises(ValueError, match="does not fit into the model's 5 positions"):
        collect_targets(model, tokenizer, [TrainingExample("w1 w2 w3 w4 w5 w6", "w1")])
