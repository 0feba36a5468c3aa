"""How a generated answer is found, read and compared: one `AnswerFormat` per way of marking the final answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import eq

from ia2_eval.protocol import Protocol
from ia2_eval.scoring import paper_parsers, strict_parsers
from ia2_eval.scoring.math_equivalence import equivalent

PAPER_STOP = "\n\n"
"""The published evaluation stops a generation at its first blank line; what was generated beyond it does not count."""


@dataclass(frozen=True)
class AnswerFormat:
    """A way of marking the final answer in free text.

    `strict` takes the first complete answer and ignores what follows it; `paper` parses as the paper's code does.
    """

    name: str
    mark: str
    """What stands before an answer."""
    locate: Callable[[str], slice | None]
    """Strict: where the first answer stands, marker excluded."""
    read: Callable[[str], str | None]
    """Strict: the canonical form of a located answer; None when it cannot be read."""
    equal: Callable[[str, str], bool]
    """Strict: whether the gold answer and another one, both canonical, are the same."""
    paper: Callable[[str], str | None]
    """The paper's parser, applied to whole texts."""
    normalise: Callable[[str], str] | None = None
    """A looser form to compare beside the strict one, where the format has one."""

    def parse(self, text: str, protocol: Protocol) -> str | None:
        """The final answer in `text`, or None when there is none that can be read."""
        if protocol == "paper":
            return self.paper(text)
        span = self.locate(text)
        return None if span is None else self.read(text[span])

    def located(self, text: str, protocol: Protocol) -> slice | None:
        """Where the first marked answer stands; None where there is none or `parse` reads another one.

        The paper's parser may read a later mark, another kind of mark or none: under `paper` the first marked answer
        alone must read as the whole text does.
        """
        span = self.locate(text)
        if span is None or protocol == "strict":
            return span
        marked = text[text.rindex(self.mark, 0, span.start) : span.stop + 1]  # with the brace that closes a box
        answer = self.paper(text)
        return span if answer and answer == self.paper(marked) else None

    def end(self, text: str) -> int | None:
        """Index of the newline that ends the line of the first complete answer; None while there is no such newline.

        `text[:end]` holds the whole answer, so that generation may stop there, and appending to `text` never moves it.
        """
        span = self.locate(text)
        newline = -1 if span is None else text.find("\n", span.stop)
        return None if newline < 0 else newline

    def correct(self, response: str, gold: str, protocol: Protocol) -> bool:
        """Whether the answer of `response` is that of `gold`, both parsed. An empty answer is never right."""
        answer, truth = ((self.parse(text, protocol) or "").strip() for text in (response, gold))
        if not answer or not truth:
            return False
        return answer == truth if protocol == "paper" else self.equal(truth, answer)

    def correct_normalised(self, response: str, gold: str, protocol: Protocol) -> bool:
        """As `correct`, or equal in the format's looser form.

        Raises:
            ValueError: the format has no looser form.
        """
        if self.normalise is None:
            raise ValueError(f"answer format {self.name!r} has no normalised form")
        if self.correct(response, gold, protocol):
            return True
        answer = self.normalise(self.parse(response, protocol) or "")
        return bool(answer) and answer == self.normalise(self.parse(gold, protocol) or "")


ANSWER_FORMATS = {
    answer_format.name: answer_format
    for answer_format in (
        AnswerFormat(
            name="hash_line",
            mark="####",
            locate=strict_parsers.hash_span,
            read=strict_parsers.number,
            equal=eq,
            paper=paper_parsers.gsm8k,
        ),
        AnswerFormat(
            name="hash_text",
            mark="####",
            locate=strict_parsers.hash_span,
            read=str.strip,
            equal=eq,
            paper=paper_parsers.sciq,
            normalise=strict_parsers.normalised_text,
        ),
        AnswerFormat(
            name="boxed",
            mark="\\boxed",
            locate=strict_parsers.box_span,
            read=str.strip,
            equal=equivalent,
            paper=paper_parsers.math,
        ),
    )
}
"""By name: `hash_line` is a `#### number` line (GSM8K), `hash_text` text after `####` (SciQ), `boxed` LaTeX's
`\\boxed{...}` (MATH)."""


def response_end(answer_format: str | None, protocol: Protocol) -> Callable[[str], int | None] | None:
    """Where the teacher's response is cut: under `strict` at the end of its first answer; under `paper`, and where the
    answer is a single token, nowhere (None)."""
    return ANSWER_FORMATS[answer_format].end if protocol == "strict" and answer_format else None


def scored_end(answer_format: str, protocol: Protocol) -> Callable[[str], int | None]:
    """Where a generation may stop because nothing after it is scored; the function gives None while it must go on.

    Under `strict` the end of the first answer (`AnswerFormat.end`), under `paper` the first blank line (`PAPER_STOP`).
    Appending to a text never moves its end.
    """
    return ANSWER_FORMATS[answer_format].end if protocol == "strict" else _paper_end


def scored_text(text: str, protocol: Protocol) -> str:
    """The part of a generated text that is parsed: under `paper` what stands before the first blank line; under
    `strict` all of it, for its parsers take the first answer whatever follows."""
    return text.partition(PAPER_STOP)[0] if protocol == "paper" else text


def _paper_end(text: str) -> int | None:
    index = text.find(PAPER_STOP)
    return None if index < 0 else index
