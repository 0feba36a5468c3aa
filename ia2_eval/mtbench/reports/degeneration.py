"""How far answers degenerate, without a judge: repetition, length, truncated and empty answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ia2_eval.mtbench.answers import ModelAnswer
from ia2_eval.mtbench.reports.estimates import Estimate, pooled_mean

NGRAM = 4

Measure = Literal["repetition", "words", "tokens", "truncated", "empty"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


class MeasuredPart(NamedTuple):
    """A measure's mean over some of a model's answers."""

    measure: Measure
    turn: int | None
    """None: all turns."""
    category: str | None
    """None: all categories."""
    estimate: Estimate | None
    """None: not known of any of these answers, which other tools' files have no tokens for."""


@dataclass(frozen=True)
class Degeneration:
    """Means over all answers of a model: every turn of every sample is a row."""

    parts: tuple[MeasuredPart, ...]
    """Each measure of all rows, of each turn, of each category, of each category of each turn."""

    @property
    def repetition(self) -> Estimate | None:
        """Mean `repetition_rate`."""
        return self.part("repetition")

    @property
    def words(self) -> Estimate | None:
        """Mean length in words."""
        return self.part("words")

    @property
    def tokens(self) -> Estimate | None:
        """Mean length in tokens."""
        return self.part("tokens")

    @property
    def truncated(self) -> Estimate | None:
        """Share of answers that came to the greatest length without an end."""
        return self.part("truncated")

    @property
    def empty(self) -> Estimate | None:
        """Share of answers without anything but white space."""
        return self.part("empty")

    def part(self, measure: Measure, turn: int | None = None, category: str | None = None) -> Estimate | None:
        sought = (measure, turn, category)
        return next((part.estimate for part in self.parts if part[:3] == sought), None)


class _Row(NamedTuple):
    question: int
    turn: int
    measures: Mapping[Measure, float | None]


def degeneration(answers: Sequence[ModelAnswer], categories: Mapping[int, str] | None = None) -> Degeneration:
    """
    Args:
        answers: of one model.
        categories: of the questions, by id; one that is not there counts in the totals only.
    """
    categories = categories or {}
    rows = [row for answer in answers for row in _rows(answer)]
    turns = (None, *sorted({row.turn for row in rows}))
    present = {row.question for row in rows}
    names = (None, *dict.fromkeys(category for question, category in categories.items() if question in present))
    parts = []
    for category in names:
        for turn in turns:
            of_part = [
                row
                for row in rows
                if turn in (None, row.turn) and (category is None or categories.get(row.question) == category)
            ]
            for measure in MEASURES:
                known = [(value, row.question) for row in of_part if (value := row.measures[measure]) is not None]
                estimate = pooled_mean([value for value, _ in known], [question for _, question in known])
                parts.append(MeasuredPart(measure, turn, category, estimate))
    return Degeneration(tuple(parts))


def repetition_rate(text: str) -> float:
    """Share of the text's word 4-grams that were there before: 1 - distinct / all; 0 for fewer than four words.

    seq-rep-4 of Welleck et al. 2020 (arXiv 1908.04319, section 6), over words between white space instead of tokens, so
    that models with different tokenizers compare. A loop without white space is not seen; such an answer is truncated.
    """
    words = text.split()
    ngrams = [tuple(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _rows(answer: ModelAnswer) -> list[_Row]:
    rows = []
    for choice in answer.choices:
        for i, text in enumerate(choice.turns):
            tokens = choice.tokens[i] if i < len(choice.tokens) else None
            truncated = choice.truncated[i] if i < len(choice.truncated) else None
            measures: dict[Measure, float | None] = {
                "repetition": repetition_rate(text),
                "words": float(len(text.split())),
                "tokens": None if tokens is None else float(tokens),
                "truncated": None if truncated is None else float(truncated),
                "empty": float(not text.strip()),
            }
            rows.append(_Row(answer.question_id, i + 1, measures))
    return rows
