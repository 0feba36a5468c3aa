"""Whether a prompt and an answer fit into the model's context."""

from __future__ import annotations

from collections.abc import Mapping

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel

UNLIMITED = 2**31


def room_behind(model: OpenModel, prompt: str) -> int:
    """Tokens that may follow a prompt; `UNLIMITED` where only the endpoint knows."""
    tokens, context = model.count_tokens(prompt), model.max_length
    return UNLIMITED if tokens is None or context is None else context - tokens


def require_room(model: OpenModel, prompts: Mapping[int, str], decoding: DecodingSettings) -> None:
    """
    Args:
        model: who is asked.
        prompts: of the first turn, by question.
        decoding: how many tokens an answer may have.

    Raises:
        UserError: a prompt does not leave them.
    """
    rooms = {question_id: room_behind(model, prompt) for question_id, prompt in prompts.items()}
    lacking = {question_id: room for question_id, room in rooms.items() if room < decoding.max_new_tokens}
    if lacking:
        worst = min(lacking, key=lacking.__getitem__)
        context = model.max_length or 0
        raise UserError(
            f"{len(lacking)} of {len(rooms)} prompts leave no room for an answer of {decoding.max_new_tokens} tokens: "
            f"that of question {worst} has {context - lacking[worst]} tokens, the context of the model {context}. "
            "Use fewer demonstrations, a lower --max-new-tokens, or a model with a longer context."
        )
