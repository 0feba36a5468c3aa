"""How likely the answers of held-out examples are to a model, without generating anything."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.mtbench.comparison.formats import closed
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet


def answer_likelihoods(model: OpenModel, prompt_set: PromptSet, held_out: Sequence[Demonstration]) -> tuple[float, ...]:
    """Mean log-likelihood per token, in nats, of the answer to the first turn of each example.

    The answer with its closing fence, behind the prompt set and the query. The line break before the answer is counted
    as part of it, as lm-eval moves white space at the end of a context.
    """
    if not held_out:
        return ()
    from lm_eval.api.instance import Instance

    pairs = [
        (prompt_set.prompt([example.turns[0].query]), closed(example.turns[0].answer or "")) for example in held_out
    ]
    requests = [Instance("loglikelihood", {}, pair, 0, ("held_out", place, 1)) for place, pair in enumerate(pairs)]
    answers = model.lm.loglikelihood(requests, disable_tqdm=True)
    lengths = [_tokens(model, context + answer) - _tokens(model, context.rstrip()) for context, answer in pairs]
    return tuple(float(pair[0]) / length for pair, length in zip(answers, lengths, strict=True))


def _tokens(model: OpenModel, text: str) -> int:
    return model.count_tokens(text) or 0
