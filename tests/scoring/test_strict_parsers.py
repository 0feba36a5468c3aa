"""The strict parsers: which answer is found, and what is read."""

from __future__ import annotations

import pytest

from ia2_eval.scoring import strict_parsers


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("5", "5"),
        ("-5", "-5"),
        ("+5", "5"),
        ("$5", "5"),
        ("-$5", "-5"),
        ("$ -5", "-5"),
        ("1,234,567", "1234567"),
        ("$1,200.50", "2401/2"),
        ("0.50", "1/2"),
        (".5", "1/2"),
        ("3/4", "3/4"),
        ("-6 / 8", "-3/4"),
        ("50%", "50"),
        ("18.", "18"),
        ("18.0.", "18"),
        ("18 dollars per hour.", "18"),
        ("-0", "0"),
        ("1,2", None),  # a list, not a thousands comma
        ("12,34", None),
        ("1/0", None),
        ("3 1/2", None),
        ("10 + x = 18", None),
        ("5 + x", None),
        ("18)", None),
        ("1e5", None),
        ("", None),
        ("$", None),
        ("eighteen", None),
        ("٥", None),
        ("9" * 100_000, None),
    ],
)
def test_number(line: str, value: str | None) -> None:
    assert strict_parsers.number(line) == value


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so 4\n#### 4\n#### 5", "4"),
        ("####4", "4"),
        ("####\n#### 5", "5"),
        ("#### \t\n5", None),
        ("##### 5", "5"),
        ("### 5", None),
        ("", None),
    ],
)
def test_hash_span(text: str, answer: str | None) -> None:
    span = strict_parsers.hash_span(text)
    assert (None if span is None else text[span].strip()) == answer


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"$\boxed{5}$. So $\frac{1}{2}$ done", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed  {5}", "5"),
        ("\\boxed{1\n2}", "1\n2"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\left\{x\right.}", r"\left\{x\right."),
        (r"x \\\boxed{3}", "3"),  # after a LaTeX line break
        (r"} { \boxed{6}", "6"),
        (r"\boxed{} \boxed{ } \boxed{7}", "7"),
        (r"\boxed{1} \boxed{2}", "1"),
        (r"\boxed{so \boxed{8}", "8"),  # the first is never closed
        (r"\boxed{\boxed{9}}", "9"),
        (r"\boxed 5", None),
        (r"\fbox{5}", None),
        (r"\boxed{5", None),
        (r"\boxed{5\}", None),
        ("", None),
    ],
)
def test_box_span(text: str, content: str | None) -> None:
    span = strict_parsers.box_span(text)
    assert (None if span is None else text[span]) == content


def test_normalised_text() -> None:
    assert strict_parsers.normalised_text(" The cell-level  Organization. ") == "cell level organization"
    assert strict_parsers.normalised_text("!") == ""
