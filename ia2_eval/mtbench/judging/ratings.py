"""Read the rating or the verdict off what a judge wrote.

FastChat takes the first `[[5]]`, else the first `[3]` of any kind, of any size. Here the final one counts, a footnote
is no rating, and what is not clearly a number from 1 to 10 is none. Decided so:

- `[[7]]`, `[[7.5]]`, `[[ 7 ]]`, `[[07]]`, `[[rating: 7]]`, `[[8/10]]`, `**[[7]]**`, `\\[\\[7\\]\\]`, and other digits
  such as full-width ones, are what they say; any decimal counts, as with FastChat.
- `[[0]]`, `[[11]]`, `[[-5]]`, `[[6-7]]`, `[[8/9]]`, `[[80%]]`, `[[7,5]]` are no ratings, and a reply that ends in one
  has none: an earlier one was not the judge's last word.
- `[[rating]]` and `[[A]]` hold no digit, `x[[1]]` is an index and `[[1]](address)` a link: passed over.
- Without double brackets `Rating: 7`, `Rating: [7]` and `Rating: 7/10` count, if all of that form agree: more of them
  may be marks for parts of the answer. One after the double brackets that disagrees leaves no rating.
- A lone `[3]` is a footnote.
"""

from __future__ import annotations

import re
from typing import Literal

LOWEST, HIGHEST = 1.0, 10.0

Verdict = Literal["A", "B", "tie"]

_MARK = re.compile(r"(?<![\w\])])\[\[([^\[\]\n]*)\]\](?!\()")
_NUMBER = r"(\d{1,3}(?:\.\d*)?)(?:\s*/\s*10(?![\d.]))?"
_IN_MARK = re.compile(rf"\s*(?:rating\s*[:=]?\s*)?{_NUMBER}\s*", re.IGNORECASE)
_NAMED = re.compile(r"\brating[\"'*_`]*\s*[:=]\s*[\"'*_`]*\[?\s*([-+]?\d[^\s\]\"'*_`;!?)]*)", re.IGNORECASE)
_VERDICT = re.compile(r"(?<![\w\])])\[\[\s*(?:Assistant\s+)?([ABC])\s*\]\](?!\()")


def parse_rating(text: str) -> float | None:
    """The final rating from 1 to 10, None where there is none."""
    text = _plain(text)
    marks = [mark for mark in _MARK.finditer(text) if re.search(r"\d", mark[1])]
    tail = text[marks[-1].end() :] if marks else text
    ratings = {_rating(named[1].rstrip(".,:")) for named in _NAMED.finditer(tail)}
    if marks:
        ratings.add(_rating(marks[-1][1]))
    return ratings.pop() if len(ratings) == 1 else None


def parse_verdict(text: str) -> Verdict | None:
    """The final verdict of a comparison: `[[A]]`, `[[B]]`, or `[[C]]` for a tie; None where there is none."""
    found = _VERDICT.findall(_plain(text))
    if not found:
        return None
    verdicts: dict[str, Verdict] = {"A": "A", "B": "B", "C": "tie"}
    return verdicts[found[-1]]


def _plain(text: str) -> str:
    """Without the backslashes that some models put before brackets."""
    return text.replace("\\[", "[").replace("\\]", "]")


def _rating(text: str) -> float | None:
    match = _IN_MARK.fullmatch(text)
    if match is None:
        return None
    value = float(match[1])
    return value if LOWEST <= value <= HIGHEST else None
