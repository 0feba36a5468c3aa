"""Whether a prompt and an answer fit into the model's context."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.conversation import Conversation
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts import length
from ia2_eval.mtbench.prompts.length import Room
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question

UNLIMITED = 2**31


def room_behind(model: OpenModel, prompt: str) -> int:
    """Tokens that may follow a prompt; `UNLIMITED` where only the endpoint knows."""
    tokens, context = model.count_tokens(prompt), model.max_length
    return UNLIMITED if tokens is None or context is None else context - tokens


def require_room(
    model: OpenModel, prompt_set: PromptSet, questions: Sequence[Question], max_new_tokens: int
) -> Room | None:
    """What a run needs at most; None where only the endpoint knows.

    Raises:
        UserError: the first turn of a question does not fit, or leaves no room for an answer.
    """
    if model.max_length is None:
        return None
    turns = max(len(question.turns) for question in questions)
    return length.require_room(
        prompt_set, questions, lambda text: model.count_tokens(text) or 0, model.max_length, max_new_tokens, turns
    )


def require_chat_room(
    model: OpenModel, conversation: Conversation, questions: Sequence[Question], max_new_tokens: int
) -> None:
    """
    Raises:
        UserError: the first turn of a question does not fit into the chat model's context, or leaves no room for an
        answer.
    """
    if model.max_length is None:
        return
    tokens = {each.question_id: model.count_tokens(conversation.prompt(each.turns[:1], ())) or 0 for each in questions}
    longest = max(tokens, key=tokens.__getitem__)
    if tokens[longest] + max_new_tokens > model.max_length:
        raise UserError(
            f"question {longest} does not fit: its prompt has {tokens[longest]} tokens and {max_new_tokens} may be "
            f"generated, but the model takes {model.max_length} in all: generate fewer tokens, or use a model with a "
            "longer context"
        )
