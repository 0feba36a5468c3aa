"""Language models of random weights and tokenizers of a few hundred tokens, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

VOCABULARY = 64

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,  # so that what is read decides what is said
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


def language_model(kind: str = "llama", **settings: Any) -> PreTrainedModel:
    """A model of one of transformers' kinds, always with the same weights."""
    torch.manual_seed(0)
    if kind == "llama":  # without the time that the automatic classes take
        model = LlamaForCausalLM(LlamaConfig(**(SIZES | settings)))
    else:
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(SIZES | settings)))
    return model.eval().requires_grad_(False)


def token_ids(*lengths: int, seed: int = 0) -> list[list[int]]:
    """Rows of random tokens without the end token 0."""
    draws = torch.Generator().manual_seed(seed)
    return [torch.randint(1, VOCABULARY, (length,), generator=draws).tolist() for length in lengths]


def byte_level(texts: Iterable[str], size: int = 400, end: str = "<eos>") -> PreTrainedTokenizerFast:
    """Byte-level BPE as GPT-2 has it."""
    return fast(_trained(models.BPE(), pre_tokenizers.ByteLevel(add_prefix_space=False), texts, size, end), end)


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""How Llama 3 cuts texts; Qwen takes digits one by one."""
GROUPED_DIGITS = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))")
"""Digits in threes from the right, so that the first cut depends on how many there are."""


def split_by(pattern: str, texts: Iterable[str], nfc: bool = True) -> PreTrainedTokenizerFast:
    """Byte-level BPE behind a regular expression."""
    cuts = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer = _trained(models.BPE(), cuts, texts, 400, "<eos>")
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    return fast(tokenizer, "<eos>")


def metaspace(texts: Iterable[str], cuts: bool, prepend: str = "always") -> PreTrainedTokenizerFast:
    """BPE as sentencepiece has it: spaces are letters, and words are cut only where there is a pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    words = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=cuts)
    if cuts:
        tokenizer.pre_tokenizer = words
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<eos>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if not token["content"].startswith("<0x")]
    return fast(Tokenizer.from_str(json.dumps(state)), "<eos>")  # bytes are ordinary tokens


def words(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Whole words."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        texts, trainers.WordLevelTrainer(special_tokens=["<unk>", "<eos>"], show_progress=False)
    )
    return fast(tokenizer, "<eos>")


def with_special(tokenizer: PreTrainedTokenizerFast, template: str) -> PreTrainedTokenizerFast:
    """The same tokenizer with its end token where the template says: `<eos> $A` puts it before every text."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    end = ("<eos>", tokenizer.eos_token_id)
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=[end])
    return fast(backend, "<eos>")


def fast(tokenizer: Tokenizer, end: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)


def with_added(tokenizer: PreTrainedTokenizerFast, *tokens: str) -> PreTrainedTokenizerFast:
    """The same tokenizer with tokens that are found in a text before all else."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.add_special_tokens([AddedToken(token, special=True) for token in tokens])
    return fast(backend, "<eos>")


def _trained(
    model: models.Model, cuts: pre_tokenizers.PreTokenizer, texts: Iterable[str], size: int, end: str
) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = cuts, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[end], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
