"""What makes a prompt set better than another: the interface, and the scorer that needs no judge."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Protocol

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answer_likelihoods import Given, answer_likelihoods
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.search.data import DevItem


class Scorer(Protocol):
    """Gives a score to a prompt set on each of some items; higher is better."""

    @property
    def unit(self) -> str:
        """Of the scores, for tables."""

    def score(self, prompt_set: PromptSet, items: Sequence[DevItem]) -> list[float | None]:
        """None for an item without a score, which is then left out of comparisons."""


class LogLikelihoodScorer:
    """Mean log-likelihood of the reference answers' tokens, each answer after its query and the turns before."""

    unit = "nats per token"

    def __init__(self, model: OpenModel) -> None:
        """
        Raises:
            UserError: the model gives no log-likelihoods.
        """
        if not model.backend.local:
            raise UserError(
                f"the scorer log_likelihood needs a model in this process (ia2-hf, hf, vllm), not "
                f"{model.backend.name}: use the scorer judge"
            )
        self._model = model

    def score(self, prompt_set: PromptSet, items: Sequence[DevItem]) -> list[float | None]:
        of_items = [reference_answers(item) for item in items]
        found = iter(answer_likelihoods(self._model, prompt_set, [each for own in of_items for each in own]))
        scores: list[float | None] = []
        for own in of_items:
            nats, tokens = (sum(part) for part in zip(*(next(found) for _ in own), strict=True))
            scores.append(nats / tokens if isfinite(nats) else None)
        return scores


def reference_answers(item: DevItem) -> list[Given]:
    """That of each turn of an item, after the turns before."""
    answers = tuple(turn.answer or "" for turn in item.turns)
    return [Given(item.queries[: turn + 1], answers[:turn], answer) for turn, answer in enumerate(answers)]
