from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from ia2_eval.lm.text_end import ScoredEnd, TextEnd
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import scored_end
from tests.lm import tiny_models

TOKENIZERS: dict[str, PreTrainedTokenizerBase] = {
    "bytes": tiny_models.byte_level([], size=257),  # each token is one byte
    "byte-level": tiny_models.byte_level(["the answer is\n\nQuestion: é 日本 #### 5\n\\boxed{7}\n"] * 3),
    "byte fallback": tiny_models.metaspace(["the answer is\n\nQuestion: #### 5\n\\boxed{7}\n"] * 3, cuts=True),
}
ENDS: dict[str, ScoredEnd | None] = {
    "none": None,
    "hash": scored_end("hash_line", "strict"),
    "box": scored_end("boxed", "strict"),
    "paper": scored_end("hash_line", "paper"),
}
PIECES = st.sampled_from(
    [
        "\n",
        "\n\n",
        "\n\nQuestion:",
        "Question",
        "\n\nQ",
        "#",
        "#### 5",
        "####\n",
        "\\boxed{",
        "7}",
        "}\n",
        "é",
        "日本",
        "😀",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join)
UNTIL = st.lists(st.sampled_from(["\n\nQuestion:", "\n\n", "é", "本", "😀!", " x", "日本", "日" * 9]), max_size=3)


def ended(ids: Sequence[int], decode: str, stop_ids: set[int], until: list[str], end: ScoredEnd | None) -> bool:
    return ids[-1] in stop_ids or any(stop in decode for stop in until) or bool(end and end(decode) is not None)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("end", ENDS)
def test_a_text_ends_where_the_whole_text_says_so(name: str, end: str) -> None:
    tokenizer = TOKENIZERS[name]

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(TEXTS, UNTIL, st.booleans(), st.integers(0, 40))
    def check(text: str, until: list[str], closed: bool, at: int) -> None:
        ids = tokenizer.encode(text, add_special_tokens=False)
        if closed:
            ids.insert(min(at, len(ids)), tokenizer.eos_token_id)
        stop_ids = {tokenizer.eos_token_id}
        text_end = TextEnd(lambda ids: tokenizer.decode(ids, skip_special_tokens=True), stop_ids, until, ENDS[end])
        for count in range(1, len(ids) + 1):
            whole = tokenizer.decode(ids[:count], skip_special_tokens=True)
            expected = ended(ids[:count], whole, stop_ids, until, ENDS[end])
            assert text_end.reached(ids[:count]) == expected, (whole, until)
            if expected:
                break

    check()


@pytest.mark.parametrize(
    ("name", "text", "stop"),
    [
        pytest.param("bytes", "so " + "日" * 9, "日" * 9, id="a stop of many tokens for each character"),
        pytest.param("byte fallback", "so x", " x", id="a stop that begins with a space, which a decoded part loses"),
        pytest.param("byte fallback", "so 😀", "😀", id="a stop whose last character is no text until it is whole"),
    ],
)
def test_a_stop_is_found_when_its_last_token_comes(name: str, text: str, stop: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(text, add_special_tokens=False)
    text_end = TextEnd(tokenizer.decode, (), [stop])
    assert [text_end.reached(ids[:count]) for count in range(1, len(ids) + 1)] == [False] * (len(ids) - 1) + [True]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(TEXTS, UNTIL, st.sampled_from(sorted(ENDS)))
def test_what_is_behind_the_end_is_cut(text: str, until: list[str], name: str) -> None:
    end = ENDS[name]
    cut = TextEnd(lambda ids: "", (), until, end).cut(text)
    stops = [place for stop in until if (place := text.find(stop)) >= 0]
    expected = text[: min(stops, default=None)]
    scored = None if end is None else end(expected)
    assert cut == expected[:scored]


@pytest.mark.parametrize(
    ("answer_format", "protocol", "text", "kept"),
    [
        ("hash_line", "strict", "so\n\n#### 5\nmore", "so\n\n#### 5"),
        ("hash_line", "strict", "####\nno #### 5 cows\n", "####\nno #### 5 cows"),
        ("hash_line", "paper", "so\n#### 5\nmore\n\nmore", "so\n#### 5\nmore"),
        ("boxed", "strict", "\\boxed{}\n\\boxed{{1\n}}, that is\n\n", "\\boxed{}\n\\boxed{{1\n}}, that is"),
        ("hash_text", "strict", "#### the moon", "#### the moon"),
    ],
)
def test_a_text_ends_where_nothing_more_is_scored(answer_format: str, protocol: Protocol, text: str, kept: str) -> None:
    tokenizer = TOKENIZERS["bytes"]
    text_end = TextEnd(tokenizer.decode, (), [], scored_end(answer_format, protocol))
    assert text_end.cut(text) == kept
    reached = [text_end.reached(ids) for ids in accumulate([byte] for byte in tokenizer.encode(text))]
    first = reached.index(True) if True in reached else len(reached)
    assert tokenizer.decode(tokenizer.encode(text)[: first + 1]).startswith(kept)
    assert first == len(reached) or first < len(kept) + 2  # at most the blank line's own two newlines


@pytest.mark.parametrize("name", TOKENIZERS)
def test_where_tokens_end(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    text_end = TextEnd(tokenizer.decode, (), [])

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(TEXTS, st.lists(st.integers(0, 255), max_size=14), TEXTS)
    def check(text: str, scattered: list[int], more: str) -> None:
        """Against the whole text at every token."""
        ids = [*tokenizer.encode(text), *tokenizer.encode(more)]
        if name != "byte fallback":  # where one byte that is no character spoils all those before it
            ids[len(ids) // 2 : len(ids) // 2] = [1 + byte for byte in scattered]
        complete = [len(tokenizer.decode(ids[:count]).rstrip("\ufffd")) for count in range(1, len(ids) + 1)]
        assert list(text_end.token_ends(ids)) == list(accumulate(complete, max))

    check()


def test_end_tokens_are_looked_at_last_only() -> None:
    text_end = TextEnd(lambda ids: "", {7, 9}, [])
    assert [text_end.reached(ids) for ids in ([7], [1, 9], [7, 1], [1])] == [True, True, False, False]


def test_thoughts_are_left_out_before_the_text_is_cut() -> None:
    text_end = TextEnd(lambda ids: "", (), ["\n\n"], scored_end("hash_line", "strict"))
    assert text_end.cut("I think\n\n#### 4\n</think> It is\n#### 5\nor", "</think>") == "It is\n#### 5"


def test_little_is_decoded_for_each_token() -> None:
    decoded: list[int] = []
    text_end = TextEnd(lambda ids: decoded.append(len(ids)) or "x" * len(ids), (), ["\n\nQuestion:"], lambda text: None)
    for count in range(1, 300):
        assert not text_end.reached([1] * count)
    assert max(decoded) < 30
