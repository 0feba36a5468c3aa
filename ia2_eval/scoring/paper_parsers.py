r"""Parsers as published with arXiv 2509.22621, with their quirks: signs are dropped, fractions cut, boxes run too far.

They reproduce the behaviour of the paper's code on every input, but take time linear in the length of the text.
"""

from __future__ import annotations

import math as _math
import re

_NUMBER = r"([0-9,]+(?:\.[0-9]+)?)"
_UNITS = (
    r"(?:miles?|meters?|hours?|minutes?|bolts?|glasses?|vacuum cleaners?|sheep|eggs?|cups?|downloads?|years?|weeks?"
    r"|dollars?|GB)"
)
# Tried in this order; the first that matches anywhere decides. Two of the published ten can never decide: a second
# `Answer\s+`, and `The best answer is:`, which `answer is` has matched by then.
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\\boxed\{([^}]+)\}",
        r"####\s*([^\n]+)",
        r"Answer:\s*([^\n]+)",
        r"The answer is\s*([^\n]+)",
        r"answer is\s*([^\n]+)",
        r"answer\s+([^\n]+)",
        rf"\$\s*{_NUMBER}",
        # A number with a unit can only start where a run of digits does: without the look-behind every digit of a long
        # run is tried in turn.
        rf"(?<![0-9,]){_NUMBER}\s*{_UNITS}",
    )
]
# Removed from the matched text, in this order.
_WRAPPING = [re.compile(pattern) for pattern in (r"^\$", r"^\s*:\s*", r"^\s*\\boxed\{", r"\}\s*$", r"[.,]\s*$")]
_ANY_NUMBER = re.compile(_NUMBER)
_WHOLE_NUMBER = re.compile(rf"\b{_NUMBER}\b")
_LONGEST_ANSWER_LINE = 200


def gsm8k(text: str) -> str:
    """The number that the text seems to answer with; where there is none, the marked text or the whole text."""
    text = text.replace("<|eot_id|>", "").strip()
    marked = _last_marked(text)
    if marked is not None:
        marked = marked.strip()
        for wrapping in _WRAPPING:
            marked = wrapping.sub("", marked)
        numbers = _ANY_NUMBER.findall(marked)
        return (_plain(numbers[0]) if numbers else None) or marked
    # The paper's code first looks for a number with a unit or a dollar sign again; those have just been ruled out.
    return _last_plausible(_WHOLE_NUMBER.findall(text)) or _last_number_of_a_statement(text) or text


def sciq(text: str) -> str:
    """What follows the last `####`, or the whole text."""
    return text.rpartition("####")[2].strip()


def math(text: str) -> str | None:
    r"""From the first `\boxed{` to the last `}` of its line, without spaces, `\dfrac` as `\frac`; None if absent."""
    for line in text.split("\n"):
        start = line.find("\\boxed{")
        stop = line.rfind("}")
        if 0 <= start < stop:
            return line[start + len("\\boxed{") : stop].replace(" ", "").replace("\\dfrac{", "\\frac{")
    return None


def _last_marked(text: str) -> str | None:
    """The last match of the first pattern that matches."""
    # A box cannot end after the last brace; cutting there keeps unclosed boxes from being scanned to the end each.
    searched = text[: text.rfind("}") + 1]
    for pattern in _PATTERNS:
        matches: list[str] = pattern.findall(searched)
        if matches:
            return matches[-1]
        searched = text
    return None


def _last_number_of_a_statement(text: str) -> str | None:
    """The last plausible number of the last short line that is no question and has one."""
    for line in reversed(text.split("\n")):
        if len(line) <= _LONGEST_ANSWER_LINE and "?" not in line:
            number = _last_plausible(_ANY_NUMBER.findall(line))
            if number is not None:
                return number
    return None


def _last_plausible(numbers: list[str]) -> str | None:
    """The last number that is neither a year (an integer from 1900 to 2100) nor a proper fraction."""
    for number in reversed(numbers):
        plain = _plain(number)
        if plain is None:
            continue
        value = float(plain)
        if not (value.is_integer() and 1900 <= value <= 2100) and not 0 < value < 1:
            return plain
    return None


def _plain(number: str) -> str | None:
    """The number without commas and needless decimals; None if there is no digit or it exceeds a float."""
    try:
        value = float(number.replace(",", ""))
    except ValueError:
        return None
    if not _math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() else str(value)
