"""Tiny random models and a word-level tokenizer, made on the spot; nothing here is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ia2_training import TrainingExample
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SPECIAL = ["<unk>", "<bos>", "<eos>", "<eot>"]
WORDS = [" ", "\n", "\n\n", ":", ".", ".\n\n", "#", "Text", "Label", *(str(digit) for digit in range(10))]
WORDS += [f"w{index}" for index in range(40)]
VOCABULARY = {word: index for index, word in enumerate(SPECIAL + WORDS)}

SHAPE: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,  # large, so that greedy decoding wanders
    "bos_token_id": VOCABULARY["<bos>"],
    "eos_token_id": VOCABULARY["<eos>"],
}


def make_tokenizer(bos: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n\n|\w+|\s|[^\w\s]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", VOCABULARY["<bos>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>" if bos else None, eos_token="<eos>", unk_token="<unk>"
    )


@pytest.fixture(params=["llama", "qwen3"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_model() -> Callable[[str], PreTrainedModel]:
    def make(family: str) -> PreTrainedModel:
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**SHAPE)) if family == "llama" else Qwen3ForCausalLM(Qwen3Config(**SHAPE))
        return model.eval()

    return make


@pytest.fixture
def model(make_model: Callable[[str], PreTrainedModel], family: str) -> PreTrainedModel:
    """Each test that asks for it runs on a Llama and on a Qwen3."""
    return make_model(family)


@pytest.fixture
def qwen3(make_model: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    return make_model("qwen3")


@pytest.fixture
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """With a BOS token for the Llama only, as with the published tokenizers."""
    return make_tokenizer(bos="family" in request.fixturenames and request.getfixturevalue("family") == "llama")


def _example(index: int, words: int, demonstrations: int) -> TrainingExample:
    texts = [f"Text:w{(7 * index + 3 * d) % 40} w{(5 * d) % 40}\nLabel:{d % 2}" for d in range(demonstrations)]
    prompt = "Text:" + " ".join(f"w{(index * 11 + word) % 40}" for word in range(words)) + "\nLabel:"
    return TrainingExample(prompt, str(index % 2), tuple(texts))


@pytest.fixture
def examples() -> list[TrainingExample]:
    """Prompts and contexts of different lengths."""
    return [_example(index, words, demos) for index, (words, demos) in enumerate([(3, 2), (7, 3), (1, 1), (5, 3)])]


@pytest.fixture
def many_examples() -> list[TrainingExample]:
    return [_example(index, 2 + index % 3, 1) for index in range(20)]


@pytest.fixture
def long_examples(examples: list[TrainingExample]) -> list[TrainingExample]:
    """The same, with multi-token answers of different lengths."""
    answers = ["w1 w2.", "w3", "w4 w5 w6.", "w7 w8"]
    return [TrainingExample(e.prompt, answer, e.demonstrations) for e, answer in zip(examples, answers, strict=True)]
