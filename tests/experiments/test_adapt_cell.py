"""From a cell to what `ia2_training` is told."""

from __future__ import annotations

from typing import Any

import pytest

from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.experiments.adapt_cell import training_config, training_examples
from ia2_eval.experiments.cell import Cell
from tests.experiments.small_runs import EMBEDDED, planned, small_recipe

SINGLE, MULTI = "embedded_mood", "embedded_arithmetic"


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_training_examples(protocol: Any) -> None:
    training_set = draw_training_set(load_benchmark(SINGLE), 6, 1)
    train, dev = training_examples(training_set, protocol)
    assert [(e.prompt, e.answer) for e in train] == [(e.prompt, e.answer) for e in training_set.train]
    assert [(e.prompt, e.answer) for e in dev] == [(e.prompt, e.answer) for e in training_set.dev]
    texts = [example.prompt + example.answer for example in training_set.train]
    for i, example in enumerate(train):
        assert sorted(example.demonstrations) == sorted(texts[:i] + texts[i + 1 :])  # leave one out
        assert example.demonstrations == tuple(texts[k] for k in training_set.demonstration_order[i])
    assert len(dev) == 3
    for j, example in enumerate(dev):
        assert example.demonstrations == (tuple(texts) if protocol == "strict" else train[j].demonstrations)


def cell(source: str, protocol: str) -> Cell:
    recipe = small_recipe(
        protocol=protocol,
        benchmarks=[{"source": source, "n": 4}],
        methods=["ia2"],
        seeds=[3],
        learning_rates=[2e-3],
        epochs=7,
        batch_size=2,
    )
    (found,) = planned(recipe, EMBEDDED)
    return found


@pytest.mark.parametrize("source", [SINGLE, MULTI])
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_what_a_cell_says_is_what_training_does(source: str, protocol: str) -> None:
    config = training_config(cell(source, protocol))
    assert (config.learning_rate, config.epochs, config.batch_size, config.seed) == (2e-3, 7, 2, 3)
    assert config.max_new_tokens == (1 if source == SINGLE else 16)
    assert config.eval_every == 2
    strict = protocol == "strict"
    assert config.patience == (50 if strict else 5)
    assert config.keep == ("best" if strict else "last")
    assert config.step_zero == config.float32_losses == strict
    assert (config.answer_end is not None) == (strict and source == MULTI)


def test_strict_answers_of_the_teacher_end_where_the_benchmark_says() -> None:
    end = training_config(cell(MULTI, "strict")).answer_end
    assert end is not None
    answer = load_benchmark(MULTI).pool[0].answer
    assert end(answer + "\n\nQ: more") == len(answer)
    assert end("no answer yet") is None
