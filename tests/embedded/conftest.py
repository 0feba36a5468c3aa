from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from ia2_eval.embedded import MODEL_DIRECTORY


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On models this small a second thread costs time, and one thread repeats bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shipped_tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(MODEL_DIRECTORY)


@pytest.fixture(scope="module")
def shipped_model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(MODEL_DIRECTORY).eval()
