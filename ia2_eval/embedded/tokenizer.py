"""The embedded model's tokenizer: known words as words, the rest by characters and bytes, so it encodes any text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ia2_eval.embedded.world import END, PAD, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# A blank line, a line break, a word with its leading space and an optional colon, a number, a run of signs, any other
# space.
_PIECES = r"\n\n|\n| ?[A-Za-z]+:?| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer. Decoding what it encoded gives the text back, byte for byte."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = vocabulary() + [f"<0x{byte:02X}>" for byte in range(256)]
    # Without merges a piece is either a whole word of the vocabulary or falls apart into its characters, each of them a
    # token where it is one (a digit, a capital letter) and its bytes where not.
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)}, merges=[], byte_fallback=True, ignore_merges=True
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],  # transformers 4 would add token types, which Qwen3 refuses
        model_max_length=8192,
    )
