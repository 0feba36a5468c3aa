"""The paper's parsers: published behaviour, and the linear forms against the regular expressions as published."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ia2_eval.scoring import paper_parsers

NUMBER = r"([0-9,]+(?:\.[0-9]+)?)"
UNITS = (
    r"(?:miles?|meters?|hours?|minutes?|bolts?|glasses?|vacuum cleaners?|sheep|eggs?|cups?|downloads?|years?|weeks?"
    r"|dollars?|GB|GB/minute)"
)
PUBLISHED = [
    r"\\boxed\{([^}]+)\}",
    r"####\s*([^\n]+)",
    r"Answer:\s*([^\n]+)",
    r"The answer is\s*([^\n]+)",
    r"answer is\s*([^\n]+)",
    r"Answer\s+([^\n]+)",
    r"answer\s+([^\n]+)",
    r"The best answer is:\s*([^\n]+)",
    r"\$\s*" + NUMBER,
    NUMBER + r"\s*" + UNITS,
]
FALLBACK = [r"\b" + NUMBER + r"\s*" + UNITS + r"\b", r"\$\s*" + NUMBER, r"\b" + NUMBER + r"\b"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### -5", "5"),
        ("#### 3/4", "3"),
        ("####\n 12", "12"),
        ("He has 1999 apples", "He has 1999 apples"),
        ("x=0.5", "x=0.5"),
        ("The answer is 2000", "2000"),
        (r"\boxed{\frac{1}{2}}", "1"),
        ("", ""),
        ("#### 7<|eot_id|>", "7"),
        ("#### 1\n#### 2", "2"),  # the last match of a pattern
        ("#### 1\n\\boxed{3}", "3"),  # the first pattern that matches
        ("The answer is 4\nanswer is 5", "4"),
        ("Answer: $1,234.50.", "1234.5"),
        ("#### 8.0", "8"),
        ("#### none", "none"),
        ("She paid $ 20 and 3 eggs", "20"),
        ("walked 12 MILES", "12"),
        ("first 3, then 14, in 1999", "14"),
        ("1899 or 1900 or 2100", "1899"),
        ("2101 or 2100", "2101"),
        ("17 birds\n" + "x" * 200, "17"),
        ("How many are 3x? So\ny5z", "5"),
        ("y5z?", "y5z?"),
        ("#### " + "9" * 400, "9" * 400),
    ],
)
def test_gsm8k(text: str, answer: str) -> None:
    assert paper_parsers.gsm8k(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [("cells divide\n#### mitosis \n", "mitosis"), ("#### a #### b", "b"), (" mitosis ", "mitosis"), ("", "")],
)
def test_sciq(text: str, answer: str) -> None:
    assert paper_parsers.sciq(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"$\boxed{5}$. So $\frac{1}{2}$ done", r"5}$.So$\frac{1}{2"),
        (r"\boxed {5}", None),
        ("\\boxed{1\n}", None),
        ("\\boxed{1\n} then \\boxed{2}", "2"),
        (r"\boxed{\dfrac{1}{2}}", r"\frac{1}{2}"),
        (r"} \boxed{", None),
        (r"\boxed{}", ""),
    ],
)
def test_math(text: str, answer: str | None) -> None:
    assert paper_parsers.math(text) == answer


FRAGMENTS = [
    *(
        "\\boxed{",
        "{",
        "}",
        "\\dfrac{",
        "####",
        "#",
        "Answer:",
        "The answer is",
        "answer is",
        "ANSWER ",
        "The best answer is:",
    ),
    *(
        "$",
        " ",
        "\n",
        ":",
        "1",
        "23",
        "1999",
        "0.5",
        ",",
        ".",
        "7.25",
        " miles",
        "hours",
        "GB/minute",
        "eggsx",
        "a",
        "?",
    ),
]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@given(texts)
def test_gsm8k_finds_the_match_of_the_published_patterns(text: str) -> None:
    text = text.strip()
    found = [matches for pattern in PUBLISHED if (matches := re.findall(pattern, text, re.IGNORECASE))]
    assert paper_parsers._last_marked(text) == (found[0][-1] if found else None)


@given(
    st.lists(st.sampled_from([" ", "\n", "1", "23", "1999", "0.5", ",", ".", "7.25", "a", "?", "x" * 210])).map("".join)
)
def test_gsm8k_without_a_mark_equals_the_published_fallback(text: str) -> None:
    text = text.strip()
    assert not any(re.search(pattern, text, re.IGNORECASE) for pattern in PUBLISHED)

    def plausible(pattern: str, part: str) -> list[float]:
        numbers = [float(found.replace(",", "")) for found in re.findall(pattern, part) if found.strip(",")]
        return [n for n in numbers if not 0 < n < 1 and n not in range(1900, 2101)]

    statements = [line for line in reversed(text.split("\n")) if len(line) <= 200 and "?" not in line]
    candidates = [plausible(pattern, text) for pattern in FALLBACK] + [plausible(NUMBER, line) for line in statements]
    number = next((numbers[-1] for numbers in candidates if numbers), None)
    expected = text if number is None else str(int(number)) if number.is_integer() else str(number)
    assert paper_parsers.gsm8k(text) == expected


@given(texts)
def test_math_equals_the_published_expressions(text: str) -> None:
    greedy = re.search(r"\\boxed{(.*)}", text) if re.search(r"\\boxed{(.*?)}", text) else None
    expected = greedy and greedy[1].replace(" ", "").replace("\\dfrac{", "\\frac{")
    assert paper_parsers.math(text) == expected
