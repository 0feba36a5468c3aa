"""Whether the conversations of a bench fit into a model's context behind a prompt set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question


@dataclass(frozen=True)
class Room:
    """Lengths in tokens of the model."""

    prompt_set: int
    first_prompt: int
    """The longest prompt of turn 1."""
    last_prompt: int
    """The longest prompt of the last turn, if all answers before it are as long as they may be."""
    max_new_tokens: int
    max_length: int

    @property
    def certain(self) -> bool:
        """Whether every turn fits, however long the answers are."""
        return self.last_prompt + self.max_new_tokens <= self.max_length

    @property
    def warning(self) -> str | None:
        """For the user, where a later turn may not fit."""
        if self.certain:
            return None
        return (
            f"after long answers, a later turn may not fit: up to {self.last_prompt} tokens of prompt and "
            f"{self.max_new_tokens} new ones are more than the model's {self.max_length}"
        )


def require_room(
    prompt_set: PromptSet,
    questions: Sequence[Question],
    count: Callable[[str], int],
    max_length: int,
    max_new_tokens: int,
    turns: int = 2,
) -> Room:
    """What a run needs at most, before anything is generated.

    Args:
        prompt_set: what stands before each conversation.
        questions: that will be asked.
        count: tokens of a text, as the model counts them.
        max_length: of the model's context, prompt and answer together.
        max_new_tokens: of each answer.
        turns: that will be asked of each question.

    Raises:
        UserError: the first turn of a question does not fit.
    """
    if not questions:
        raise ValueError("no questions")
    own = count(prompt_set.text)
    first = {question.question_id: count(prompt_set.prompt(question.turns[:1])) for question in questions}
    longest = max(first, key=first.__getitem__)
    if first[longest] + max_new_tokens > max_length:
        lacking = first[longest] + max_new_tokens - max_length
        raise UserError(
            f"the prompt set {prompt_set.name!r} does not fit: it has {own} tokens, the longest prompt (question "
            f"{longest}) {first[longest]}, and {max_new_tokens} may be generated, but the model takes {max_length} in "
            f"all: {lacking} too many. Take fewer or shorter demonstrations, or generate fewer tokens, or use a model "
            "with a longer context."
        )
    return Room(
        own,
        first[longest],
        max(_worst(prompt_set, question, count, max_new_tokens, turns) for question in questions),
        max_new_tokens,
        max_length,
    )


def _worst(
    prompt_set: PromptSet, question: Question, count: Callable[[str], int], max_new_tokens: int, turns: int
) -> int:
    queries = question.turns[:turns]
    answers = [""] * (len(queries) - 1)
    return count(prompt_set.prompt(queries, answers)) + max_new_tokens * len(answers)
