"""Every generated text, written down as it arrives, so that a run that ends early loses none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.atomic import write_atomically
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.questions import read_lines
from ia2_eval.mtbench.writing import append_line, writing

if TYPE_CHECKING:
    from lm_eval.models.api_models import JsonChatStr


class Place(NamedTuple):
    """Which text of a run; in the order of the file of a complete one."""

    question_id: int
    sample: int
    turn: int
    """From 1."""


class Text(Frozen):
    """A text that answers a turn."""

    question_id: int
    sample: int
    turn: int
    prompt_sha256: str
    """Of all that the model read."""
    generated: str
    """As it came from the model, cut at the stop string."""
    answer: str
    """What of it is the answer."""
    tokens: int | None
    """Generated, where known."""
    truncated: bool | None
    """Whether it came to the greatest length without an end; None where unknown."""
    tstamp: float
    """When it arrived, seconds since 1970."""

    @property
    def place(self) -> Place:
        return Place(self.question_id, self.sample, self.turn)


def prompt_sha256(prompt: str | JsonChatStr) -> str:
    text = prompt if isinstance(prompt, str) else prompt.prompt
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class TextLedger:
    """The texts of a model id: a file of JSON lines to which every text is added when it is there."""

    path: Path
    texts: dict[Place, Text] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> TextLedger:
        """With what earlier runs left; half a line at the end, of a run that was killed, is cut off.

        Raises:
            UserError: a line is no text, or the file cannot be read and written.
        """
        ledger = cls(path)
        with writing(path):
            content = path.read_bytes() if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < len(content):
                write_atomically(path, whole)
        if whole:
            ledger.texts = {text.place: text for text in read_lines(path, Text, "the texts of an earlier run")}
        return ledger

    def answer_to(self, place: Place, prompt: str) -> Text | None:
        """The text of an earlier run, if it follows the same prompt."""
        text = self.texts.get(place)
        return text if text is not None and text.prompt_sha256 == prompt_sha256(prompt) else None

    def forget(self, place: Place) -> None:
        """Leave out the text of a place, and those that follow it in its conversation."""
        later = [each for each in self.texts if each[:2] == place[:2] and each.turn >= place.turn]
        for each in later:
            del self.texts[each]

    def add(self, text: Text) -> None:
        """Write a text down.

        Raises:
            UserError: the file cannot be written.
        """
        append_line(self.path, _line(text))
        self.texts[text.place] = text

    def write_in_order(self) -> None:
        """Write the file anew as a run that was never interrupted leaves it.

        Raises:
            UserError: the file cannot be written.
        """
        content = b"".join(_line(self.texts[place]) for place in sorted(self.texts))
        with writing(self.path):
            if not self.path.exists() or self.path.read_bytes() != content:
                write_atomically(self.path, content)


def _line(text: Text) -> bytes:
    return (json.dumps(text.model_dump(mode="json")) + "\n").encode("ascii")
