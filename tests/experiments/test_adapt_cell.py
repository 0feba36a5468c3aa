"""From a cell to what `ia2_training` is told."""

from __future__ import annotations

from typing import Any

import pytest

from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.experiments.adapt_cell import adapter_of, training_config, training_examples, unlabelled_examples
from ia2_eval.experiments.adapter_specs import Full, Ia3, Lora, Prefix, Prompt
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.settings import Settings
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


def cell(source: str, protocol: str, method: Any = "ia2") -> Cell:
    recipe = small_recipe(
        protocol=protocol,
        benchmarks=[{"source": source, "n": 4}],
        methods=[method],
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


def test_settings_reach_training() -> None:
    settings = Settings(micro_batch_size=3, gradient_checkpointing=True)
    config = training_config(cell(SINGLE, "strict"), settings)
    assert (config.micro_batch_size, config.gradient_checkpointing) == (3, True)
    plain = training_config(cell(SINGLE, "strict"))
    assert (plain.micro_batch_size, plain.gradient_checkpointing) == (None, False)


def test_options_reach_training() -> None:
    from ia2_training import Alignment

    aligned = {"output": "residual", "layers": [0, 2], "distance": "cosine"}
    method = cell(
        SINGLE, "strict", {"method": "ia2_sft", "labels": "icl_outputs", "alignment": aligned}
    ).training_method
    assert (method.name, method.labels) == ("ia2_sft", "icl_outputs")
    assert method.alignment == Alignment("residual", (0, 2), "cosine")
    assert cell(SINGLE, "strict", {"method": "ia2+sft", "sft_weight": 0.1}).training_method.sft_weight == 0.1
    assert cell(SINGLE, "strict", {"method": "soft_sft", "top_k": 5}).training_method.top_k == 5
    assert (
        training_config(cell(SINGLE, "strict", {"method": "ia2", "demonstration_orders": 3})).demonstration_orders == 3
    )
    assert training_config(cell(SINGLE, "strict")).demonstration_orders == 1


def test_adapters() -> None:
    from ia2_training import FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter

    plain = cell(SINGLE, "strict")
    found = [
        adapter_of(plain.model_copy(update={"adapter": adapter}))
        for adapter in (Lora(r=4, alpha=16, modules=("v_proj",)), Prompt(virtual_tokens=3), Prefix(), Full())
    ]
    assert found == [LoraAdapter(4, 16, ("v_proj",)), PromptAdapter(3), PrefixAdapter(20), FullFineTuning()]
    ia3 = {protocol: cell(SINGLE, protocol).model_copy(update={"adapter": Ia3()}) for protocol in ("strict", "paper")}
    assert adapter_of(ia3["strict"]) == Ia3Adapter(scale="outputs")
    assert adapter_of(ia3["paper"]) == Ia3Adapter(scale="inputs")


def test_unlabelled_queries_have_no_answers() -> None:
    data = load_benchmark(SINGLE)
    training_set = draw_training_set(data, 4, 3)
    low = cell(SINGLE, "strict", {"method": "ia2", "low_data": {"unlabelled": 5, "orders": 2}})
    queries = unlabelled_examples(low, data, training_set)
    assert len(queries) == 10
    assert {query.answer for query in queries} == {""}
    texts = sorted(example.text for example in training_set.train)
    assert all(sorted(query.demonstrations) == texts for query in queries)
    assert unlabelled_examples(cell(SINGLE, "strict"), data, training_set) == []
