"""Answer formats: where an answer ends, when a response is right, and that no text breaks them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ia2_eval.protocol import Protocol
from ia2_eval.scoring import math_equivalence
from ia2_eval.scoring.answers import ANSWER_FORMATS, AnswerFormat, scored_end, scored_text

GOLD = {"hash_line": "6 * 7 = <<6*7=42>>42\n#### 42", "hash_text": "by then\n#### mitosis", "boxed": r"so \boxed{42}."}
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SHARED = Path(__file__).parents[3] / "shared" / "data"

each_format = pytest.mark.parametrize("answer_format", ANSWER_FORMATS.values(), ids=list(ANSWER_FORMATS))
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@each_format
@each_protocol
def test_the_gold_answer_is_right_and_an_empty_one_never(answer_format: AnswerFormat, protocol: Protocol) -> None:
    gold = GOLD[answer_format.name]
    assert answer_format.correct(gold, gold, protocol)
    for empty in ("", " \n", "####", "####  \n", r"\boxed{}", r"\boxed{ }", "Answer: }"):
        assert not answer_format.correct(empty, gold, protocol)
        assert not answer_format.correct(empty, "", protocol)
    assert not answer_format.correct("", "", protocol)


@pytest.mark.parametrize(
    ("name", "response", "strict", "paper"),
    [
        ("hash_line", "#### 42.0", True, True),
        ("hash_line", "#### 84/2", True, False),
        ("hash_line", "#### -42", False, True),
        ("hash_line", "#### 42\n\nQuestion: another\n#### 7", True, False),
        ("hash_line", "The answer is 42", False, True),
        ("hash_text", "#### mitosis \nQuestion:", True, False),
        ("hash_text", "mitosis", False, True),
        ("hash_text", "#### Mitosis", False, False),
        ("boxed", r"\boxed{42}. It is $\frac{84}{2}$", True, False),
        ("boxed", r"\boxed{\frac{84}{2}}", True, False),
        ("boxed", r"\boxed{4 2}", False, True),
        ("boxed", "42", False, False),
    ],
)
def test_protocols_differ(name: str, response: str, strict: bool, paper: bool) -> None:
    answer_format = ANSWER_FORMATS[name]
    assert answer_format.correct(response, GOLD[name], "strict") is strict
    assert answer_format.correct(response, GOLD[name], "paper") is paper


@pytest.mark.parametrize(
    ("name", "kept", "rest"),
    [
        ("hash_line", "6 * 7\n#### 42", "\nQuestion"),
        ("hash_line", "####\n#### 42", "\n"),
        ("hash_text", "\n\n#### the cell wall ", "\n#### no"),
        ("boxed", "a\n\nso $\\boxed{\\frac{1}{2}}$ dollars.", "\n\\boxed{3}"),
    ],
)
def test_end(name: str, kept: str, rest: str) -> None:
    answer_format = ANSWER_FORMATS[name]
    assert answer_format.end(kept + rest) == len(kept)
    assert answer_format.end(kept) is None, "the line may go on"
    assert answer_format.end("\n" * 3) is None


def test_normalised_match_is_looser() -> None:
    sciq = ANSWER_FORMATS["hash_text"]
    assert sciq.correct_normalised("#### The Mitosis!", GOLD["hash_text"], "strict")
    assert not sciq.correct_normalised("#### meiosis", GOLD["hash_text"], "strict")
    assert not sciq.correct_normalised("#### !", "#### ?", "strict")
    assert sciq.correct_normalised("#### a", "#### a", "strict"), "whatever is correct is correct normalised"
    with pytest.raises(ValueError, match="'boxed' has no normalised form"):
        ANSWER_FORMATS["boxed"].correct_normalised("", "", "strict")


FRAGMENTS = [
    *(
        "\\boxed{",
        "\\boxed",
        "{",
        "}",
        "\\{",
        "\\\\",
        "####",
        "#",
        "Answer:",
        "answer ",
        "The answer is ",
        "$",
        " ",
        "\n",
    ),
    *(
        "\t",
        "1",
        "42",
        ",",
        ".",
        "-",
        "/",
        "%",
        "miles",
        "\\frac",
        "mitosis",
        "é",
        "\u2028",
        "\ud800",
        "\0",
        "<|eot_id|>",
    ),
]
fragments = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=12).map("".join)
long_texts = st.builds(
    lambda head, body, tail, times: (head + body * times)[:100_000] + tail,
    fragments, fragments, fragments, st.sampled_from([1, 2, 100_000]),
)  # fmt: skip
nested_braces = st.builds(
    lambda head, opening, inner, closed: head + opening * 10_000 + inner + "}" * closed,
    fragments,
    st.sampled_from(["{", "\\boxed{", "\\boxed{{", "\\frac{1}{"]),
    fragments,
    st.sampled_from([0, 9_999, 20_001]),
)
long_digit_runs = st.builds(
    lambda head, sign, digits, tail: head + sign + (digits * 100_000)[:100_000] + tail,
    st.sampled_from(["", "#### ", "\\boxed{", "Answer: ", "x"]),
    st.sampled_from(["", "-", "$"]),
    st.sampled_from(["9", "0", "1,", "1,000", "3.", "1 ", "7/"]),
    fragments,
)


@pytest.fixture
def no_math(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out math-verify, whose time is limited in its own process and tested there."""
    monkeypatch.setattr(math_equivalence, "LONGEST_ANSWER", 0)


def seconds(action: Callable[..., object], *arguments: str) -> float:
    """Processor time: what the action takes, however busy the machine is."""
    start = time.process_time()
    action(*arguments)
    return time.process_time() - start


@each_format
@each_protocol
@pytest.mark.usefixtures("no_math")
@pytest.mark.parametrize(
    "fragment", [*FRAGMENTS, "\\boxed{}", "} ", "1.1", "1,", "1 ", "####\n", "Answer:\n", "\\boxed "]
)
def test_repetition_is_read_in_linear_time(answer_format: AnswerFormat, protocol: Protocol, fragment: str) -> None:
    for text in ((fragment * 100_000)[:100_000], fragment * 10_000 + "}", "1" * 50_000 + fragment * 10_000 + "x"):
        assert seconds(answer_format.correct, text, GOLD[answer_format.name], protocol) < 1


@each_format
@each_protocol
@pytest.mark.usefixtures("no_math")
@settings(max_examples=60, deadline=None)
@given(text=long_texts | nested_braces | long_digit_runs)
def test_no_text_raises_or_hangs(answer_format: AnswerFormat, protocol: Protocol, text: str) -> None:
    gold = GOLD[answer_format.name]
    assert seconds(answer_format.correct, text, gold, protocol) < 1
    assert seconds(answer_format.parse, text, protocol) < 1
    for where in (answer_format.locate, answer_format.end, scored_end(answer_format.name, protocol)):
        assert seconds(where, text) < 1
    if answer_format.normalise is not None:
        assert seconds(answer_format.correct_normalised, text, gold, protocol) < 1
    if not (answer_format.parse(text, protocol) or "").strip():
        assert not answer_format.correct(text, text, protocol)
        assert not answer_format.correct(text, gold, protocol)


@each_format
@each_protocol
@pytest.mark.usefixtures("no_math")
@given(blank=st.text(st.sampled_from(" \t\n\r\v\f\u00a0\u2003\u2028\u3000"), max_size=4), other=fragments)
def test_a_blank_answer_is_never_right(answer_format: AnswerFormat, protocol: Protocol, blank: str, other: str) -> None:
    for text in (blank, f"####{blank}", f"\\boxed{{{blank}}}"):
        if not (answer_format.parse(text, protocol) or "").strip():
            assert not answer_format.correct(text, other, protocol)
            assert not answer_format.correct(other, text, protocol)
            assert not answer_format.correct(text, text, protocol)
    assert not answer_format.correct(blank, other, protocol)
    assert answer_format.parse(blank, "strict") is None


@each_format
@each_protocol
@pytest.mark.usefixtures("no_math")
@given(text=fragments, more=fragments)
def test_nothing_beyond_the_scored_end_counts(
    answer_format: AnswerFormat, protocol: Protocol, text: str, more: str
) -> None:
    end = scored_end(answer_format.name, protocol)
    stop = end(text)
    if stop is not None:
        assert end(text + more) == stop
        cut, whole = (scored_text(t, protocol) for t in (text[:stop], text + more))
        assert answer_format.parse(cut, protocol) == answer_format.parse(whole, protocol)


def test_scored_end_by_hand() -> None:
    text = "Six.\n\nSo\n#### 6\n\nQuestion"
    assert scored_end("hash_line", "strict")(text) == text.index("\n\nQuestion")
    assert scored_end("hash_line", "paper")(text) == text.index("\n\nSo")
    assert scored_end("hash_line", "paper")("Six.\n#### 6\n") is None
    assert scored_text(text, "paper") == "Six." and scored_text(text, "strict") == text


@each_format
@given(text=fragments, more=fragments)
def test_an_answer_that_has_ended_stays(answer_format: AnswerFormat, text: str, more: str) -> None:
    end = answer_format.end(text)
    if end is not None:
        assert text[end] == "\n"
        assert answer_format.end(text + more) == end
        assert answer_format.parse(text[:end], "strict") == answer_format.parse(text + more, "strict")
    else:
        located = answer_format.locate(text)
        assert located is None or "\n" not in text[located.stop :]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real rows in ../shared/data")
@pytest.mark.parametrize(
    ("name", "file", "column", "unmarked"),
    [
        ("hash_line", "gsm8k/train.jsonl", "answer", 0),
        ("hash_line", "gsm8k/test.jsonl", "answer", 0),
        ("hash_line", "gsm_symbolic/test.jsonl", "answer", 0),
        ("boxed", "hendrycks_math_algebra/train.jsonl", "solution", 2),  # written `\boxed 2` and `\boxed 9`
        ("boxed", "hendrycks_math_algebra/test.jsonl", "solution", 0),
    ],
)
def test_every_real_gold_answer_is_read(name: str, file: str, column: str, unmarked: int) -> None:
    lines = (SHARED / file).read_text(encoding="utf-8").strip("\n").split("\n")
    golds = [json.loads(line)[column] for line in lines]
    answer_format = ANSWER_FORMATS[name]
    assert sum(not answer_format.parse(gold, "strict") for gold in golds) == unmarked
    assert sum(answer_format.correct(gold, gold, "strict") for gold in golds) == len(golds) - unmarked
