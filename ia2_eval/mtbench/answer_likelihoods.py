"""How likely given answers are to a model, without generating anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import PromptSet


class Given(NamedTuple):
    """An answer, and the conversation that it stands at the end of."""

    queries: tuple[str, ...]
    answers: tuple[str, ...]
    """To all queries but the last."""
    answer: str

    def context(self, prompt_set: PromptSet) -> str:
        """All that the model reads before the answer."""
        return prompt_set.prompt(self.queries, self.answers)


class Likelihood(NamedTuple):
    """Of an answer."""

    nats: float
    """Sum over its tokens; minus infinity if the model excludes one."""
    tokens: int
    """Counted without the prompt set, so that they are the same behind each: those that lm-eval scores, of the answer
    and of the line break before it, which it does not leave at the end of a context."""


def answer_likelihoods(model: OpenModel, prompt_set: PromptSet, given: Sequence[Given]) -> list[Likelihood]:
    """The log-likelihood of each answer behind a prompt set.

    Args:
        model: one that gives log-likelihoods and knows its tokens.
        prompt_set: what stands before each conversation.
        given: answers.
    """
    if not given:
        return []
    from lm_eval.api.instance import Instance

    requests = [
        # Of one task: ia2-hf reads what its requests begin with once.
        Instance("loglikelihood", {}, (each.context(prompt_set), each.answer), 0, (prompt_set.sha256, place, 1))
        for place, each in enumerate(given)
    ]
    alone = PromptSet(name="none", text="", headings=prompt_set.headings)
    found = model.lm.loglikelihood(requests, disable_tqdm=True)
    return [
        Likelihood(float(nats), _tokens(model, each.context(alone), each.answer))
        for (nats, _), each in zip(found, given, strict=True)
    ]


def _tokens(model: OpenModel, context: str, answer: str) -> int:
    encode = model.lm.tok_encode
    return len(encode(context + answer)) - len(encode(context.rstrip()))
