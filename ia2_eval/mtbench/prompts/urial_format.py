"""Reading files in URIAL's format, the irregular ones of its repositories too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import INSTRUCTION_HEADING, fault_within, render
from ia2_eval.mtbench.prompts.prompt_set import URIAL_HEADINGS, Demonstration, Headings, PromptSet, Turn

FENCE = "```"
_STYLES = (
    URIAL_HEADINGS,
    Headings(query="# User:", answer="# Assistant:", fence=""),
    Headings(query="User:", answer="Assistant:", fence=""),
)
_CLOSING = re.compile(r"```[ \t\r]*$", re.MULTILINE)
_OPENING = re.compile(r"\s*```[ \t\r]*\n?")


@dataclass(frozen=True)
class Remark:
    """Something unusual in a file."""

    line: int
    """Counted from 1."""
    text: str


@dataclass(frozen=True)
class _Block:
    """What stands under one heading."""

    is_query: bool
    said: str
    after: str
    """Text behind the closing fence."""
    raw: str
    """All of it with its heading."""
    line: int


@dataclass
class _Reading:
    """The demonstrations found so far."""

    turns: list[Turn] = field(default_factory=list)
    after: list[list[str]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def parse_prompt(name: str, text: str) -> PromptSet:
    """A prompt set from a text in URIAL's format; its `text` is this text, byte for byte.

    A query or answer is the text between its heading and the next one, without the fence; it may begin and end on the
    lines of the fence. Without fences, all of it counts. Every query begins a demonstration, as the format has no sign
    for several turns. A query without an answer is a demonstration too. Other text (a sentence between blocks, an
    answer without a query of its own) is kept in `after` of the demonstration that it follows; before the first
    heading, it is the instruction.

    Raises:
        UserError: there is nothing in the text, or a fence is not closed.
    """
    return _parse(name, text)[0]


def remarks(name: str, text: str) -> tuple[Remark, ...]:
    """What is unusual in a text in URIAL's format, such as a query without an answer, in the order of the lines.

    Raises:
        UserError: as in `parse_prompt`.
    """
    prompt_set, found = _parse(name, text)
    if not prompt_set.demonstrations:
        found.append(Remark(1, f"no line is {prompt_set.headings.query!r}: all of it is the instruction"))
    elif not is_regular(prompt_set) and not found:
        line = _first_difference(text, _rendered(prompt_set))
        found.append(Remark(line, "blank lines or fences are not as in URIAL's own sets; they are kept as they are"))
    return tuple(sorted(found, key=lambda remark: remark.line))


def is_regular(prompt_set: PromptSet) -> bool:
    """Whether its parts, rendered, give its text byte for byte."""
    return _rendered(prompt_set) == prompt_set.text


def _rendered(prompt_set: PromptSet) -> str:
    return render(prompt_set.instruction, prompt_set.demonstrations, prompt_set.headings)


def _parse(name: str, text: str) -> tuple[PromptSet, list[Remark]]:
    if not text.strip():
        raise UserError(f"{name}: there is nothing in it; for no prompt at all, use the prompt set `none`")
    headings, places = _find_headings(text)
    reading = _Reading()
    for found in _blocks(name, text, headings, places):
        _add(reading, found, headings)
    prompt_set = PromptSet(
        name=name,
        text=text,
        headings=headings,
        instruction=_instruction(text[: places[0].start() if places else len(text)]),
        demonstrations=tuple(
            Demonstration(turns=(turn,), after="\n\n".join(after))
            for turn, after in zip(reading.turns, reading.after, strict=True)
        ),
    )
    return prompt_set, reading.remarks


def _find_headings(text: str) -> tuple[Headings, list[re.Match[str]]]:
    """Whichever style has the first query; fenced if anything stands between fences."""
    found = []
    for style in _STYLES:
        names = f"{re.escape(style.query)}|{re.escape(style.answer)}"
        places = list(re.finditer(rf"^(?P<heading>{names})[ \t\r]*(?:\n|\Z)", text, re.MULTILINE))
        while places and places[0]["heading"] == style.answer:
            places.pop(0)
        if places:
            found.append((places[0].start(), style, places))
    if not found:
        return URIAL_HEADINGS, []
    _, style, places = min(found, key=lambda candidate: candidate[0])
    fenced = text[places[0].end() :].lstrip().startswith(FENCE)
    return style.model_copy(update={"fence": FENCE if fenced else ""}), places


def _blocks(name: str, text: str, headings: Headings, places: list[re.Match[str]]) -> Iterator[_Block]:
    ends = [*(place.start() for place in places), len(text)]
    for place, end in zip(places, ends[1:], strict=True):
        body, line = text[place.end() : end], text.count("\n", 0, place.start()) + 1
        said, after = body.strip("\r\n"), ""
        if headings.fence:
            opening, closings = _OPENING.match(body), list(_CLOSING.finditer(body))
            if opening is None or not closings or closings[-1].start() <= body.index(FENCE):
                raise UserError(
                    f"{name}, line {line}: what stands under {place['heading']!r} is not between two {FENCE}"
                )
            line_end = "\r\n" if place[0].endswith("\r\n") else "\n"
            said = body[opening.end() : closings[-1].start()].removesuffix(line_end)
            after = body[closings[-1].end() :].strip("\r\n")
        yield _Block(place["heading"] == headings.query, said, after.strip() and after, text[place.start() : end], line)


def _add(reading: _Reading, found: _Block, headings: Headings) -> None:
    if found.is_query:
        reading.turns.append(Turn(query=found.said))
        reading.after.append([])
    elif reading.turns[-1].answer is None and not reading.after[-1]:
        reading.turns[-1] = Turn(query=reading.turns[-1].query, answer=found.said)
    else:
        reading.after[-1].append(found.raw.strip("\r\n"))
        reading.remarks.append(Remark(found.line, "an answer without a query of its own, kept as plain text"))
        return
    if fault := fault_within(Demonstration(turns=(Turn(query=found.said),)), headings):
        reading.remarks.append(Remark(found.line, fault))
    if not found.said.strip():
        reading.remarks.append(Remark(found.line, f"{'a query' if found.is_query else 'an answer'} with nothing in it"))
    if found.after:
        reading.after[-1].append(found.after)
        line = found.line + found.raw[: found.raw.rindex(found.after)].count("\n")
        reading.remarks.append(Remark(line, "plain text between demonstrations"))


def _instruction(beginning: str) -> str:
    return beginning.strip("\r\n").removeprefix(INSTRUCTION_HEADING).lstrip("\r\n")


def _first_difference(text: str, other: str) -> int:
    for number, (line, expected) in enumerate(zip(text.split("\n"), other.split("\n"), strict=False), start=1):
        if line != expected:
            return number
    return min(text.count("\n"), other.count("\n")) + 1
