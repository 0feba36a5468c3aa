"""Parsers of the strict protocol: the first marked answer, and nothing but a marked answer.

Every function takes time linear in the length of the text.
"""

from __future__ import annotations

import re
from fractions import Fraction

# The marker, then at least one visible character on the same line.
_HASH_ANSWER = re.compile(r"####[^\S\n]*([^\s#][^\n]*)")

_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_NUMBER = re.compile(
    rf"""
    \$?\s*(?P<sign>[-+]?)\s*\$?\s*
    (?P<numerator>{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)
    (?:\s*/\s*(?P<denominator>{_INTEGER}))?
    \s*%?\.?
    (?:\s[^0-9=+*/^-]*)?            # a unit, but no further arithmetic
    """,
    re.VERBOSE,
)
# Far beyond any answer, and below the digits at which Python refuses to convert.
_LONGEST_NUMBER = 100

_LATEX_TOKEN = re.compile(r"\\boxed[ \t]*\{|\\.|[{}]", re.DOTALL)


def hash_span(text: str) -> slice | None:
    """Where the answer after the first `####` stands: to the end of its line; a marker without text is passed over."""
    match = _HASH_ANSWER.search(text)
    return None if match is None else slice(*match.span(1))


def box_span(text: str) -> slice | None:
    r"""Where the content of the first `\boxed{...}` to be closed stands; an empty box is passed over.

    Braces are balanced as LaTeX does it: `\{` and `\}` do not count. Only braces make a box, so `\boxed 5` is none.
    """
    open_braces: list[int | None] = []  # where the content of a box starts; None for any other brace
    for token in _LATEX_TOKEN.finditer(text):
        if token[0].startswith("\\boxed"):
            open_braces.append(token.end())
        elif token[0] == "{":
            open_braces.append(None)
        elif token[0] == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and not _blank(text, start, token.start()):
                return slice(start, token.start())
    return None


def number(answer: str) -> str | None:
    """The number that an answer line states, as an exact canonical fraction: `$1,200.50` is `2401/2`, `-4.0` is `-4`.

    Sign, `$`, thousands commas, decimals, `a/b`, `%` (ignored), a trailing full stop and a unit are understood.
    None for anything else, such as a second number or an equation.
    """
    match = _NUMBER.fullmatch(answer.strip()) if len(answer) <= _LONGEST_NUMBER else None
    if match is None:
        return None
    denominator = int((match["denominator"] or "1").replace(",", ""))
    if denominator == 0:
        return None
    value = Fraction(match["numerator"].replace(",", "")) / denominator
    return str(-value if match["sign"] == "-" else value)


def normalised_text(answer: str) -> str:
    """Lower case, without punctuation and English articles, words one space apart."""
    words = re.sub(r"[\W_]+", " ", answer.casefold()).split()
    return " ".join(word for word in words if word not in {"a", "an", "the"})


def _blank(text: str, start: int, stop: int) -> bool:
    return not text[start:stop].strip()
