"""The models that are measured on: the embedded one, and random weights in other shapes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelJoin
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel as ByteLevelCut
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3Config,
)
from transformers import Qwen3ForCausalLM as Qwen3

from ia2_eval.embedded import MODEL_DIRECTORY

SHAPES: dict[str, dict[str, int]] = {
    "qwen3_8x256": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 32,
    },
    "qwen3_0.6b": {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    },
    "qwen3_4b": {
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    },
}
"""Shapes of random models: a small one, and those of Qwen3-0.6B and Qwen3-4B."""

NAMES = ("embedded", *SHAPES)


def load(
    name: str, device: str = "cpu", dtype: str = "float32", texts: Iterable[str] = ()
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model in evaluation mode with frozen parameters, and a tokenizer.

    Random models have the vocabulary of the tokenizer unless their shape gives another; what they say is noise, what
    they cost is not.

    Args:
        name: of the model.
        device: where it is.
        dtype: of its parameters.
        texts: what the tokenizer of a random model is trained on; without any it is that of the embedded model, which
            has a token for nearly each character of an English text.
    """
    known = list(texts) if name != "embedded" else []
    tokenizer = trained_tokenizer(known) if known else AutoTokenizer.from_pretrained(MODEL_DIRECTORY)
    tensor_type = getattr(torch, dtype)
    if name == "embedded":
        model = AutoModelForCausalLM.from_pretrained(MODEL_DIRECTORY, dtype=tensor_type).to(device)
    else:
        config = Qwen3Config(
            **{"vocab_size": len(tokenizer), **SHAPES[name]},
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
            max_position_embeddings=32768,
            dtype=tensor_type,
        )
        torch.manual_seed(0)
        with torch.device(device):
            model = Qwen3(config).to(tensor_type)
    return model.eval().requires_grad_(False), tokenizer


def trained_tokenizer(texts: Iterable[str], size: int = 8192) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of the given texts, so that they have about as many tokens as with a real one."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevelCut(add_prefix_space=False), ByteLevelJoin()
    trainer = BpeTrainer(
        vocab_size=size, special_tokens=["<eos>"], initial_alphabet=ByteLevelCut.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")
