"""What makes a prompt set better than another: the interface, and the scorer that needs no judge."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Protocol

from ia2_eval.errors import UserError
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
    """Mean log-likelihood of the reference answers' tokens, each answer after its query and the turns before.

    The tokens are those that lm-eval scores: of the answer and of the line break before it, which it does not leave at
    the end of a context.
    """

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
        self._tokens: dict[tuple[str, str], int] = {}

    def score(self, prompt_set: PromptSet, items: Sequence[DevItem]) -> list[float | None]:
        from lm_eval.api.instance import Instance

        asked = [(place, *pair) for place, item in enumerate(items) for pair in contexts(prompt_set, item)]
        requests = [
            # Of one task: ia2-hf reads what its requests begin with once.
            Instance("loglikelihood", {}, (context, answer), 0, (prompt_set.sha256, place, 1))
            for place, context, answer in asked
        ]
        answers = self._model.lm.loglikelihood(requests, disable_tqdm=True)
        sums, tokens = [0.0] * len(items), [0] * len(items)
        alone = [pair for item in items for pair in contexts(_alone(prompt_set), item)]
        for (place, _, _), (log_likelihood, _), pair in zip(asked, answers, alone, strict=True):
            sums[place] += float(log_likelihood)
            tokens[place] += self._scored_tokens(*pair)
        means = [total / count for total, count in zip(sums, tokens, strict=True)]
        return [mean if isfinite(mean) else None for mean in means]

    def _scored_tokens(self, context: str, answer: str) -> int:
        """Of an answer; the same behind every prompt set, so it is counted without one."""
        if (context, answer) not in self._tokens:
            encode = self._model.lm.tok_encode
            self._tokens[context, answer] = len(encode(context + answer)) - len(encode(context.rstrip()))
        return self._tokens[context, answer]


def contexts(prompt_set: PromptSet, item: DevItem) -> list[tuple[str, str]]:
    """For each turn of an item, all that stands before its reference answer, and this answer."""
    answers = [turn.answer or "" for turn in item.turns]
    return [
        (prompt_set.prompt(item.queries[: turn + 1], answers[:turn]), answer) for turn, answer in enumerate(answers)
    ]


def _alone(prompt_set: PromptSet) -> PromptSet:
    """Without instruction and demonstrations."""
    return PromptSet(name="none", text="", headings=prompt_set.headings)
