"""Read the rating or the verdict off what a judge wrote.

FastChat takes the first `[[5]]`, else the first `[3]` of any kind, of any size. Here the final one counts, a footnote
is no rating, and what is not clearly a number from 1 to 10 is none. Decided so:

- `[[7]]`, `[[7.5]]`, `[[ 7 ]]`, `[[07]]`, `[[rating: 7]]`, `[[8/10]]`, `[[8]]/10`, `**[[7]]**`, `\\[\\[7\\]\\]`, and
  other digits such as full-width ones, are what they say; any decimal counts, as with FastChat.
- `[[0]]`, `[[11]]`, `[[-5]]`, `[[6-7]]`, `[[6]] or [[7]]`, `[[8/9]]`, `[[4]] out of 5`, `[[80%]]`, `[[7,5]]`,
  `[[seven]]`, `[[N/A]]` are no ratings, and a reply that ends in one has none: an earlier one was not the judge's last
  word.
- `[[rating]]` and `[[A]]` hold no number, `x[[1]]` is an index and `[[1]](address)` a link: passed over.
- Without double brackets `Rating: 7`, `Rating: [7]` and `Rating: 7/10` count, if all of that form agree: more of them
  may be marks for parts of the answer. One after the double brackets that disagrees leaves no rating. The number stands
  on the line of the word: below it may be a numbered list.
- A lone `[3]` is a footnote.
"""

from __future__ import annotations

import re
from typing import Literal

LOWEST, HIGHEST = 1.0, 10.0

Verdict = Literal["A", "B", "tie"]

_QUOTES = "[\"'*_`]*"
_NO_INDEX = r"(?<![A-Za-z0-9_\])])"  # other letters, such as Chinese ones, have no space behind them
_MARK = re.compile(rf"(?:{_NO_INDEX}|(?<=rating))" + r"\[\[([^\[\]\n]*)\]\](?!\()", re.IGNORECASE)
_HAS_NUMBER = re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|none|n/?a)\b", re.IGNORECASE)
_NUMBER = re.compile(r" ?(?:rating ?[:=]? ?)?(\d{1,3}(?:\.\d*)?)(?: ?(?:/|out of) ?10(?:\.0+)?)? ?", re.IGNORECASE)
_OF = re.compile(_QUOTES + r"\]? ?\(?(?:/|out of) ?" + _QUOTES + r"(\d+(?:\.\d+)?)", re.IGNORECASE)
_OR = re.compile(_QUOTES + r" ?(?:[-/\u2013\u2014~]|to|or) ?" + _QUOTES, re.IGNORECASE)
_NAMED = re.compile(
    rf"(?<![a-z])rating{_QUOTES} ?[:=\uff1a] ?{_QUOTES}\[? ?([-+~]?\d[^\s\]\"'*_`;!?)}}]*)", re.IGNORECASE
)
_VERDICT = re.compile(_NO_INDEX + r"\[\[\s*(?:Assistant\s+)?([ABC])\s*\]\](?!\()")


def parse_rating(text: str) -> float | None:
    """The final rating from 1 to 10, None where there is none."""
    text = _plain(text)
    marks = [mark for mark in _MARK.finditer(text) if _HAS_NUMBER.search(mark[1])]
    named = _NAMED.finditer(text, marks[-1].end() if marks else 0)
    ratings = {None if _is_range(text, each.end()) else _rating(text, each) for each in named}
    if marks:
        choice = len(marks) > 1 and _OR.fullmatch(text, marks[-2].end(), marks[-1].start())
        ratings.add(None if choice else _rating(text, marks[-1]))
    return ratings.pop() if len(ratings) == 1 else None


def parse_verdict(text: str) -> Verdict | None:
    """The final verdict of a comparison: `[[A]]`, `[[B]]`, or `[[C]]` for a tie; None where there is none."""
    found = _VERDICT.findall(_plain(text))
    if not found:
        return None
    verdicts: dict[str, Verdict] = {"A": "A", "B": "B", "C": "tie"}
    return verdicts[found[-1]]


def _plain(text: str) -> str:
    """Without the backslashes that some models put before brackets, and with white space made short: there may be a
    hundred thousand blanks, which the patterns above would go over again and again."""
    text = text.replace("\\[", "[").replace("\\]", "]")
    return re.sub(r"\n[\n ]*", "\n", re.sub(r"[^\S\n]+", " ", text))


def _is_range(text: str, end: int) -> bool:
    """Whether another number follows: `7 - 8`, `7 or 8`."""
    found = _OR.match(text, end)
    return found is not None and text[found.end() : found.end() + 1].isdigit() and not _OF.match(text, end)


def _rating(text: str, found: re.Match[str]) -> float | None:
    match = _NUMBER.fullmatch(found[1].rstrip(".,:"))
    scale = _OF.match(text, found.end())
    if match is None or (scale is not None and float(scale[1]) != HIGHEST):
        return None
    value = float(match[1])
    return value if LOWEST <= value <= HIGHEST else None
