"""The tokenizer of the embedded model: any text, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from ia2_eval.benchmarks import BENCHMARKS, load_benchmark, with_demonstrations
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.embedded.datasets import DATASETS, EmbeddedDataset
from ia2_eval.embedded.tokenizer import build_tokenizer
from ia2_eval.embedded.world import END, PAD, vocabulary

TOKENIZER = build_tokenizer()
LOCAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"


def ids(text: str) -> list[int]:
    return list(TOKENIZER(text)["input_ids"])


def round_trip(text: str) -> str:
    return str(TOKENIZER.decode(ids(text)))


# Surrogates are no characters: UTF-8 cannot write them. Text that holds "<|pad|>" round-trips too, but as the padding
# token itself, so it is tested apart.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: PAD not in text)
ODD_PARTS = st.sampled_from(
    [
        *vocabulary()[1:],
        *" \n\r\t\v\f\0\x1b\x7f\x85",
        "\u00a0",
        "\u2003",
        "\u2028",
        "\u3000",
        "\ufeff",
        "\ufffd",
        "é",
        "e\u0301",
        "ß",
        "漢字",
        "🙂",
        "👩‍👩‍👧",
        "<0x41>",
        "<0x0A>",
        "</s>",
        "##",
        "zebra",
    ]
)


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_any_text_comes_back(text: str) -> None:
    assert round_trip(text) == text


@settings(max_examples=300, deadline=None)
@given(st.lists(ODD_PARTS, max_size=30).map("".join))
def test_words_spaces_and_odd_characters_in_any_order_come_back(text: str) -> None:
    assert round_trip(text) == text


def test_every_character_comes_back() -> None:
    text = "".join(chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000)
    assert round_trip(text) == text


def test_a_long_text_comes_back() -> None:
    text = "Ein Märchen: dog  cat\n\n\n\tüber 1,000 Nächte… " * 2000
    assert round_trip(text) == text


def test_the_padding_string_is_the_padding_token() -> None:
    assert ids(f"a{PAD}") == [*ids("a"), TOKENIZER.pad_token_id]


def test_every_token_of_the_world_is_one_token() -> None:
    assert [ids(token) for token in vocabulary()] == [[index] for index in range(len(vocabulary()))]


def test_an_unknown_word_is_its_characters_and_bytes() -> None:
    assert TOKENIZER.convert_ids_to_tokens(ids(" Zé")) == ["<0x20>", "Z", "<0xC3>", "<0xA9>"]


def test_end_of_text_is_the_blank_line() -> None:
    assert (TOKENIZER.eos_token, TOKENIZER.pad_token) == (END, PAD) == ("\n\n", "<|pad|>")
    assert (TOKENIZER.eos_token_id, TOKENIZER.pad_token_id) == (1, 0)
    assert TOKENIZER.bos_token_id is None


@pytest.mark.parametrize("name", DATASETS)
def test_a_text_in_pieces_is_the_text_glued(name: str) -> None:
    examples = load_benchmark(f"embedded_{name}").pool[:20]
    pieces = [piece for example in examples for piece in (example.prompt, example.answer, END)]
    glued = ids(with_demonstrations(examples, ""))
    assert [token for piece in pieces for token in ids(piece)] == glued
    assert all(ids(example.text) == ids(example.prompt) + ids(example.answer) for example in examples)
    assert max(glued) < len(vocabulary())  # no byte was needed


@pytest.mark.parametrize("dataset", [dataset for dataset in DATASETS.values() if dataset.labels])
def test_labels_are_single_tokens_after_their_prompt(dataset: EmbeddedDataset) -> None:
    for label in dataset.labels or ():
        assert len(ids(label)) == 1
        assert ids(f"Label:{label}") == ids("Label:") + ids(label)


@pytest.mark.skipif(not LOCAL_DATA.is_dir(), reason="needs the real rows in ../shared/data")
@pytest.mark.parametrize("name", [name for name in BENCHMARKS if not name.startswith("embedded_")])
def test_real_rows_come_back(name: str) -> None:
    data = load_benchmark(name, LOCAL_DATA)
    for example in (*data.pool[:50], *data.evaluation[:50]):
        assert round_trip(example.text) == example.text
        assert ids(example.prompt) + ids(example.answer) == ids(example.text)


def test_the_shipped_tokenizer_is_the_built_one(tmp_path: Path, shipped_tokenizer: PreTrainedTokenizerFast) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    built, shipped = (json.loads((d / "tokenizer.json").read_text()) for d in (tmp_path, MODEL_DIRECTORY))
    for part in ("model", "added_tokens", "normalizer", "pre_tokenizer", "decoder"):
        assert built[part] == shipped[part]
    assert shipped_tokenizer.model_input_names == ["input_ids", "attention_mask"]
    assert shipped_tokenizer.special_tokens_map == TOKENIZER.special_tokens_map
    assert shipped_tokenizer.model_max_length == TOKENIZER.model_max_length == 8192
