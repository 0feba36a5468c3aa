"""From texts to answers: those to the questions of which every turn of every sample is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from ia2_eval.mtbench.answers import Choice, ModelAnswer
from ia2_eval.mtbench.generation.texts import Place, Text
from ia2_eval.mtbench.questions import Question


def complete_answers(
    texts: Mapping[Place, Text], questions: Sequence[Question], samples: int, model_id: str
) -> tuple[ModelAnswer, ...]:
    """Answers to the questions of which every turn of every sample is there, by question."""
    return tuple(_complete(texts, sorted(questions, key=lambda each: each.question_id), samples, model_id))


def _complete(
    texts: Mapping[Place, Text], questions: Sequence[Question], samples: int, model_id: str
) -> Iterator[ModelAnswer]:
    for question in questions:
        turns = range(1, len(question.turns) + 1)
        asked = [[Place(question.question_id, sample, turn) for turn in turns] for sample in range(samples)]
        if not all(place in texts for sample in asked for place in sample):
            continue
        rows = [[texts[place] for place in sample] for sample in asked]
        choices = tuple(
            Choice(
                index=index,
                turns=tuple(text.answer for text in row),
                tokens=tuple(text.tokens for text in row),
                truncated=tuple(text.truncated for text in row),
            )
            for index, row in enumerate(rows)
        )
        said = json.dumps([model_id, question.question_id, [choice.turns for choice in choices]])
        yield ModelAnswer(
            question_id=question.question_id,
            answer_id=hashlib.sha256(said.encode()).hexdigest()[:22],  # as long as FastChat's
            model_id=model_id,
            choices=choices,
            tstamp=max(text.tstamp for row in rows for text in row),
            category=question.category,
        )
