from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval.models.huggingface import HFLM
from tokenizers import AddedToken
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ia2_eval.benchmarks import BENCHMARKS, load_benchmark
from tests.lm import tiny_models

MARKS = ("#### %d", "#### %d\n", "\\boxed{%d}", "\\boxed{%d}\n", "%d.\n\n")
ANSWERS = [mark % number for mark in MARKS for number in range(9)]
"""Tokens of their own, so that a model of random weights answers now and then."""


@pytest.fixture(scope="session")
def tokenizer(hub_rows: Path) -> PreTrainedTokenizerBase:
    texts = [
        example.prompt + example.answer + "\n\n"
        for name in BENCHMARKS
        if not name.startswith("embedded")
        for example in load_benchmark(name, hub_rows).evaluation[:10]
    ]
    tokenizer = tiny_models.byte_level(texts)
    tokenizer.add_tokens([AddedToken(answer, normalized=False) for answer in [*ANSWERS, "\n\n"]])
    return tokenizer


@pytest.fixture(scope="session")
def model(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    return tiny_models.language_model(
        "qwen3", vocab_size=len(tokenizer), hidden_size=64, head_dim=16, max_position_embeddings=4096
    )


@pytest.fixture(scope="session")
def hf(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> HFLM:
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16)
