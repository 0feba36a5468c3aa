"""A prompt set: an instruction and demonstrations, and the prompts of a conversation that they are put before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import Field

from ia2_eval.frozen import Frozen


class Turn(Frozen):
    """A query and its answer; the answer is None where only the query is shown."""

    query: str
    answer: str | None = None


class Demonstration(Frozen):
    """A conversation of one turn or more."""

    turns: tuple[Turn, ...] = Field(min_length=1)
    after: str = ""
    """What stands between it and the next one as plain text, outside all blocks; mostly nothing."""
    source: str = ""
    """Which part of its pool it is from, where the pool says so. Not shown to the model."""


class Headings(Frozen):
    """How a query and an answer are marked: a heading line, and a fence around what was said."""

    query: str = "# Query:"
    answer: str = "# Answer:"
    fence: str = "```"
    """Empty: nothing stands around it."""


URIAL_HEADINGS = Headings()


class PromptSet(Frozen):
    """What stands before a conversation, and how the conversation itself is written."""

    name: str
    text: str
    """All of it, byte for byte as in its file; what is rendered here ends with a newline, or is empty."""
    headings: Headings = URIAL_HEADINGS
    instruction: str = ""
    demonstrations: tuple[Demonstration, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the text and the headings: what decides every prompt."""
        return hashlib.sha256(f"{self.headings.model_dump_json()}\n{self.text}".encode()).hexdigest()

    def prompt(self, queries: Sequence[str], answers: Sequence[str] = ()) -> str:
        """The text up to where the answer to the last query begins.

        Args:
            queries: of the conversation so far.
            answers: to all queries but the last; an empty one is still an answer.
        """
        if len(queries) != len(answers) + 1:
            raise ValueError(f"{len(queries)} queries and {len(answers)} answers: all but the last query have one")
        parts = [block(self.headings.query, queries[0], self.headings.fence)]
        for answer, query in zip(answers, queries[1:], strict=True):
            parts += [block(self.headings.answer, answer, self.headings.fence)]
            parts += [block(self.headings.query, query, self.headings.fence)]
        opened = f"{self.headings.answer}\n{self.headings.fence}\n"
        live = "\n".join([*parts, opened])
        return f"{self.text}\n{live}" if self.text else live


def block(heading: str, said: str, fence: str) -> str:
    """What was said, under its heading; ends with a newline."""
    return f"{heading}\n{fence}\n{said}\n{fence}\n"


def first_line(demonstration: Demonstration, longest: int = 60) -> str:
    """The beginning of its first query, on one line."""
    query = " ".join(demonstration.turns[0].query.split())
    return query if len(query) <= longest else f"{query[: longest - 3]}..."
