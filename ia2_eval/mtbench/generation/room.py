"""Whether a prompt and an answer fit into the model's context."""

from __future__ import annotations

from collections.abc import Sequence

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
    return length.require_room(
        prompt_set, questions, lambda text: model.count_tokens(text) or 0, model.max_length, max_new_tokens
    )
