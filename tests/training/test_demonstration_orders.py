"""Several orders of the demonstrations, and queries without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from ia2_training import (
    Method,
    TeacherTargets,
    TrainingConfig,
    TrainingExample,
    adapt,
    in_demonstration_orders,
)
from ia2_training.adapt import prepare
from transformers import PreTrainedModel, PreTrainedTokenizerFast

IA2 = Method("ia2")
ORDERS = TrainingConfig(max_new_tokens=3, demonstration_orders=3)


def with_demonstrations(count: int, number: int = 1) -> list[TrainingExample]:
    return [
        TrainingExample(f"Text:w{index}\nLabel:", "1", tuple(f"Text:w{d}\nLabel:{d % 2}" for d in range(count)))
        for index in range(number)
    ]


def test_orders_are_different_permutations_one_set_after_the_other() -> None:
    examples = with_demonstrations(4, number=3)
    ordered = in_demonstration_orders(examples, 5, seed=0)
    assert len(ordered) == 15
    assert ordered[:3] == examples
    assert [(e.prompt, e.answer) for e in ordered] == 5 * [(e.prompt, e.answer) for e in examples]
    for index, example in enumerate(examples):
        own = [e.demonstrations for e in ordered[index::3]]
        assert len(set(own)) == 5
        assert {tuple(sorted(demonstrations)) for demonstrations in own} == {example.demonstrations}
    assert len({tuple(e.demonstrations for e in ordered[index::3]) for index in range(3)}) == 3, "each has its own"


def test_orders_come_from_the_seed() -> None:
    examples = with_demonstrations(5, number=2)
    torch.manual_seed(0)
    first = in_demonstration_orders(examples, 3, seed=0)
    torch.manual_seed(1)
    assert in_demonstration_orders(examples, 3, seed=0) == first
    assert in_demonstration_orders(examples, 2, seed=0)[:2] == first[:2]
    assert in_demonstration_orders(examples, 3, seed=1) != first


@pytest.mark.parametrize(("demonstrations", "different"), [(0, 1), (1, 1), (2, 2), (3, 6)])
def test_too_few_demonstrations_come_round_again(demonstrations: int, different: int) -> None:
    orders = [e.demonstrations for e in in_demonstration_orders(with_demonstrations(demonstrations), 8, seed=0)]
    assert len(set(orders)) == different
    assert orders == [orders[index % different] for index in range(8)]


def test_targets_of_all_orders_and_the_dev_set_in_its_own(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    train, dev = examples[:2], examples[2:]
    targets = TeacherTargets.for_method(model, tokenizer, train, dev, ORDERS, IA2)
    assert (len(targets.train), len(targets.dev)) == (6, 2)
    for order in range(3):
        turned = in_demonstration_orders(train, 3, ORDERS.seed)[2 * order : 2 * order + 2]
        alone = TeacherTargets.collect(model, tokenizer, turned, dev, max_new_tokens=3)
        for one, other in zip(targets.train[2 * order :], alone.train, strict=False):
            assert one.response_ids == other.response_ids
            torch.testing.assert_close(one.activations, other.activations, atol=1e-5, rtol=0)
        for one, other in zip(targets.dev, alone.dev, strict=True):
            torch.testing.assert_close(one.activations, other.activations, atol=1e-5, rtol=0)


def test_each_epoch_trains_towards_the_next_order(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """With a vanishing learning rate the loss of an epoch says which targets it was measured against."""

    def losses(config: TrainingConfig, targets: TeacherTargets) -> Sequence[float]:
        adapted = adapt(
            qwen3, tokenizer, train, method=IA2, config=config, targets=targets, progress=lambda check: None
        )
        adapted.detach()
        return adapted.history[0].train_losses

    train = [example for example in examples if len(example.demonstrations) == 3]
    assert len(train) == 2
    config = replace(ORDERS, learning_rate=1e-30, epochs=7, step_zero=False)
    targets = TeacherTargets.for_method(qwen3, tokenizer, train, (), config, IA2)
    whole = losses(config, targets)
    single = replace(config, demonstration_orders=1, epochs=1)
    each = [losses(single, TeacherTargets(targets.train[2 * k : 2 * k + 2], ()))[0] for k in range(3)]
    assert len({round(value, 4) for value in each}) == 3, "the orders must matter"
    assert whole == pytest.approx([each[epoch % 3] for epoch in range(7)], rel=1e-5)


def unlabelled(count: int, demonstrations: tuple[str, ...], answer: str = "") -> list[TrainingExample]:
    """Queries whose empty answer could not be trained on."""
    return [TrainingExample(f"Text:w{index} w3\nLabel:", answer, demonstrations) for index in range(count)]


def test_unlabelled_queries_replace_the_training_set_where_the_teacher_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    train, dev = examples[:2], examples[2:3]
    queries = unlabelled(5, examples[1].demonstrations)
    for method in (Method("ia2_sft"), Method("sft_ia2"), Method("soft_sft"), Method("sft", labels="icl_outputs")):
        phases = prepare(model, tokenizer, train, dev, method, TrainingConfig(), None, queries)
        for phase in phases:
            (data,) = phase.train
            from_teacher = phase.loss.response == "teacher"
            expected = [query.prompt for query in queries] if from_teacher else [example.prompt for example in train]
            prompts = [tuple(tokenizer(prompt)["input_ids"]) for prompt in expected]
            assert [sequence.prompt_ids for sequence in data.sequences] == prompts
            assert len(data.targets) == (5 if from_teacher else 0)
            assert len(phase.dev.sequences) == 1
    config = TrainingConfig(epochs=2)
    by_hand = TeacherTargets.for_method(model, tokenizer, queries, dev, config, IA2)
    trained = []
    for targets, asked in ((None, queries), (by_hand, queries), (None, unlabelled(5, queries[0].demonstrations, "0"))):
        adapted = adapt(
            model,
            tokenizer,
            train,
            dev,
            method="ia2_sft",
            config=config,
            targets=targets,
            unlabelled=asked,
            progress=lambda check: None,
        )
        assert [phase.steps for phase in adapted.history] == [2 * 2, 2 * 1]  # 5 queries, 2 examples, in batches of 4
        trained.append(adapted.history)
        adapted.detach()
    assert trained[0] == trained[1] == trained[2]


def test_labelled_examples_are_not_needed_where_only_the_teacher_is_asked(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    (phase,) = prepare(qwen3, tokenizer, [], [], IA2, TrainingConfig(), None, examples)
    assert len(phase.train[0].sequences) == len(examples)
    with pytest.raises(ValueError, match="no training examples"):
        prepare(qwen3, tokenizer, [], [], Method("ia2_sft"), TrainingConfig(), None, examples)


def test_several_orders_of_low_data(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    """N demonstrations, M queries, K orders."""
    queries = unlabelled(4, examples[1].demonstrations)
    phases = prepare(qwen3, tokenizer, examples[:2], (), Method("ia2_sft"), ORDERS, None, queries)
    assert [len(phase.train) for phase in phases] == [3, 1]
    assert [len(data.sequences) for data in phases[0].train] == [4, 4, 4]


def test_what_makes_no_sense_is_refused(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample]
) -> None:
    with pytest.raises(ValueError, match="sft learns from ground truth only: it has no use for 4 unlabelled queries"):
        adapt(qwen3, tokenizer, examples, method="sft", unlabelled=examples)
    with pytest.raises(ValueError, match="demonstration_orders = 3: sft learns from ground truth only"):
        adapt(qwen3, tokenizer, examples, method="sft", config=ORDERS)
    one_order = TeacherTargets.for_method(qwen3, tokenizer, examples, (), TrainingConfig(), IA2)
    with pytest.raises(ValueError, match="4 targets, 4 examples in 3 orders of their demonstrations"):
        adapt(qwen3, tokenizer, examples, method="ia2", config=ORDERS, targets=one_order)
    with pytest.raises(ValueError, match="0 targets, 4 examples"):
        adapt(qwen3, tokenizer, examples, examples, method="ia2", targets=one_order)
    with pytest.raises(ValueError, match="demonstration_orders = 0"):
        TrainingConfig(demonstration_orders=0)
