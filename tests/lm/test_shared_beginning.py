from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.shared_beginning import SHORTEST, SharedBeginning, common_length
from tests.lm import tiny_models

CORPUS = [
    "The quick brown fox jumps over the lazy dog.\n\nQuestion: don't we'll 12345 678 café\r\nAnswer: A\n",
    "\n" + " " * 44 + "\n",
    "1234567890 1 000 000 11 111 11 111",
    "日本語 テキスト",
]
SHOTS = "Review: the quick brown fox.\nLabel: A\n\n" * 7  # a little longer than SHORTEST
LONG_TOKEN = "<|a special token whose name is longer than the margin|>"
PIECES = [
    *(" ", "\n", "\r\n", "\t", "1", "12", "e", "word", " word", "A", "!", "'s", "'", "日", "\u00a0", "\u2028", ""),
    *("\u0301", "\u0316", "\u0345", "\u3099", "か", "\u1100", "\u1161", "\u00e9", "\u212b", "\U0001f600"),
    *("<eos>", "<e", "os>", "<|x|>", LONG_TOKEN[:40], LONG_TOKEN[40:]),
    *(" " * 40, "\n" + " " * 40, "1" * 40, "e" + "\u0316" * 40),
]
KINDS = {
    "gpt2": lambda: tiny_models.byte_level(CORPUS),
    "llama3": lambda: tiny_models.split_by(tiny_models.LLAMA3, CORPUS),
    "grouped digits": lambda: tiny_models.split_by(tiny_models.GROUPED_DIGITS, CORPUS),
    "bos": lambda: tiny_models.with_special(tiny_models.split_by(tiny_models.LLAMA3, CORPUS), "<eos> $A"),
    "added": lambda: tiny_models.with_added(tiny_models.split_by(tiny_models.LLAMA3, CORPUS), "<|x|>", LONG_TOKEN),
    "metaspace": lambda: tiny_models.metaspace(CORPUS, cuts=True),
    "metaspace first": lambda: tiny_models.metaspace(CORPUS, cuts=True, prepend="first"),
    "words": lambda: tiny_models.words(CORPUS),
    "embedded": lambda: load(locate(Base(model="embedded")), "cpu").tokenizer,
    "eos": lambda: tiny_models.with_special(tiny_models.byte_level(CORPUS), "$A <eos>"),
    "uncut": lambda: tiny_models.metaspace(CORPUS, cuts=False),
}
NEVER = {"eos", "uncut"}
"""Kinds whose texts cannot be put together from parts."""

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, PreTrainedTokenizerBase]:
    return {kind: make() for kind, make in KINDS.items()}


def beginning_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> SharedBeginning | None:
    return SharedBeginning.of(
        texts, tokenizer, tokenizer.encode, lambda text: tokenizer.encode(text, add_special_tokens=False)
    )


def assert_encodes_as_plain(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether there is a shared beginning; it must give every text its own tokens."""
    beginning = beginning_of(texts, tokenizer)
    if beginning is None:
        return False
    for text in texts:
        assert text.startswith(beginning.text)
        end = tokenizer.encode(text[len(beginning.text) :], add_special_tokens=False)
        assert [*beginning.token_ids, *end] == tokenizer.encode(text), text[len(SHOTS) :]
    return True


@kinds
def test_the_usual_prompt_is_cut_unless_the_tokenizer_does_not_cut(
    kind: str, tokenizers: dict[str, PreTrainedTokenizerBase]
) -> None:
    texts = [f"{SHOTS}Review: {end}\nLabel:" for end in ("the lazy dog", "a brown fox", "12 dogs", " ", "日本語")]
    assert assert_encodes_as_plain(texts, tokenizers[kind]) == (kind not in NEVER)
    if kind not in NEVER:
        beginning = beginning_of(texts, tokenizers[kind])
        assert beginning is not None and len(beginning.text) > len(SHOTS) - 80


@kinds
def test_any_texts_are_encoded_as_without_it(kind: str, tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    anything = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=5).map("".join)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(anything, st.lists(anything, min_size=1, max_size=5))
    def check(tail: str, ends: list[str]) -> None:
        assert_encodes_as_plain([SHOTS + tail + end for end in ends], tokenizers[kind])

    check()


@pytest.mark.parametrize(
    ("kind", "tail", "ends"),
    [
        pytest.param("llama3", "\n" + " " * 40, ["\ta", "\nb", "c"], id="spaces that a newline may follow"),
        pytest.param("grouped digits", "1" * 40, ["", "1", "111", "a"], id="digits that are cut from the right"),
        pytest.param("llama3", "e" + "\u0316" * 40, ["A", "\u0301", "\U0001f600"], id="a mark that composes from afar"),
        pytest.param("added", LONG_TOKEN[:40], ["", LONG_TOKEN[40:], "\U0001f600"], id="a long added token"),
    ],
)
def test_what_only_a_text_between_the_first_and_the_last_shows(
    kind: str, tail: str, ends: list[str], tokenizers: dict[str, PreTrainedTokenizerBase]
) -> None:
    texts = [SHOTS + tail + end for end in ends]
    assert sorted(texts) == texts
    assert assert_encodes_as_plain(texts, tokenizers[kind])


def test_a_short_beginning_is_not_worth_it(tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    common = SHOTS[: SHORTEST - 1]
    assert beginning_of([common + "a", common + "b"], tokenizers["gpt2"]) is None
    assert beginning_of([common + "Ra", common + "Rb"], tokenizers["gpt2"]) is not None
    assert beginning_of([SHOTS + "a", "b" + SHOTS], tokenizers["gpt2"]) is None


def test_a_tokenizer_without_a_backend_is_left_alone() -> None:
    class Slow:
        """As those that are written in Python."""

    assert SharedBeginning.of([SHOTS], Slow(), lambda text: [len(text)], lambda text: [len(text)]) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "last", "length"), [("abc", "abd", 2), ("abc", "abcd", 3), ("", "a", 0), ("abc", "abc", 3), ("a", "b", 0)]
)
def test_common_length(first: str, last: str, length: int) -> None:
    assert common_length(first, last) == common_length(last, first) == length


@given(st.lists(st.text("ab", max_size=6), min_size=1))
def test_the_least_and_the_greatest_of_many_differ_first(texts: list[str]) -> None:
    length = common_length(min(texts), max(texts))
    assert len({text[:length] for text in texts}) == 1
    assert len({text[: length + 1] for text in texts}) > 1 or min(map(len, texts)) == length
