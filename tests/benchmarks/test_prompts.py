"""Every prompt and answer, letter by letter."""

from __future__ import annotations

from typing import Any

import pytest

from ia2_eval.benchmarks import BENCHMARKS, Example
from tests.benchmarks.hub_rows import qasc, sciq

LITERAL = [
    ("sst2", {"sentence": "a fine film ", "label": 1}, "Text:a fine film \nLabel:", "1"),
    ("fins", {"sentence": "Sales fell .", "label": 0}, "Text:Sales fell .\nLabel:", "0"),
    ("fins", {"sentence": "Sales rose .", "label": 2}, "Text:Sales rose .\nLabel:", "1"),
    ("poems", {"verse_text": "o gentle night,", "label": 1}, "Text:o gentle night,\nLabel:", "1"),
    ("stf", {"question": "Is ice cold?", "answer": True}, "Question:Is ice cold?\nAnswer:", "1"),
    ("stf", {"question": "Is fire cold?", "answer": False}, "Question:Is fire cold?\nAnswer:", "0"),
    ("agn", {"text": "A probe landed.", "label": 3}, "Text:A probe landed.\nLabel:", "3"),
    ("gsm8k", {"question": "1+1?", "answer": "<<1+1=2>>2\n#### 2"}, "Question:1+1?\nAnswer:", "<<1+1=2>>2\n#### 2"),
    ("gsm8ks", {"question": "1+1?", "answer": "2\n#### 2"}, "Question:1+1?\nAnswer:", "2\n#### 2"),
    ("hmatha", {"problem": "Solve.", "solution": "$\\boxed{3}$"}, "Question:Solve.\nAnswer:", "$\\boxed{3}$"),
    (
        "sciq",
        {"question": "Why?", "support": "It is so.", "correct_answer": "law"},
        "Question:Why?\nAnswer:",
        "It is so.\n#### law",
    ),
    ("sciq", {"question": "Why?", "support": "", "correct_answer": "law"}, "Question:Why?\nAnswer:", "\n#### law"),
    ("embedded_arithmetic", {"question": "Ann had 7", "answer": " 7 #### 7"}, "Q: Ann had 7\nA:", " 7 #### 7"),
    ("embedded_mood", {"text": "noon", "label": 1}, "Text: noon\nLabel:", "1"),
]


@pytest.mark.parametrize(("name", "row", "prompt", "answer"), LITERAL)
def test_prompt_and_answer(name: str, row: dict[str, Any], prompt: str, answer: str) -> None:
    assert BENCHMARKS[name].examples([row]) == [Example(prompt, answer)]


def test_a_demonstration_is_prompt_and_answer_glued() -> None:
    assert Example("Text:x\nLabel:", "1").text == "Text:x\nLabel:1"


@pytest.mark.parametrize(("label", "answer"), [(0, "3"), (1, "2"), (2, "1"), (3, "0"), (4, "0")])
def test_bbc_topics_become_those_of_ag_news(label: int, answer: str) -> None:
    assert BENCHMARKS["bbcn"].examples([{"text": "one two three", "label": label}])[0].answer == answer


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("one two three", "one two"),  # the last piece goes even from a short text
        ("one", ""),
        ("w " * 200, "w " * 127 + "w"),  # 256 characters end in a space: the last piece is empty
        ("x" * 250 + " abcdefgh", "x" * 250),
        ("one  two three", "one  two"),
    ],
)
def test_bbc_text_is_cut(text: str, kept: str) -> None:
    assert BENCHMARKS["bbcn"].examples([{"text": text, "label": 0}])[0].prompt == f"Text:{kept}\nLabel:"


def test_sciq_choices() -> None:
    first, second = BENCHMARKS["sciqr"].examples([sciq(1), sciq(2)])
    lines = first.prompt.split("\n")
    assert lines[:2] == ["Question:question 1?", "Choices:"]
    assert lines[2] == "[apple]right 1"
    assert [line.split("]")[0] for line in lines[2:6]] == ["[apple", "[Friday", "[banana", "[Saturday"]
    assert sorted(line.split("]")[1] for line in lines[3:6]) == ["wrong 1 of 1", "wrong 2 of 1", "wrong 3 of 1"]
    assert lines[6:] == ["", "Answer:"]
    assert first.answer == "apple"
    assert second.answer == "banana"
    assert "\n[banana]right 2\n" in second.prompt


def test_qasc_choices_keep_the_order_of_the_data_set() -> None:
    words = ("apple", "Friday", "banana", "Saturday", "Thursday", "Sunday", "Wednesday", "Monday")
    options = "".join(f"[{word}]option {k} of 3\n" for k, word in enumerate(words))
    expected = Example(f"Question:question 3?\nChoices:\n{options}\nAnswer:", "Saturday")
    assert BENCHMARKS["qascr"].examples([qasc(3)]) == [expected]
