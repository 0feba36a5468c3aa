"""Whether a prompt set leaves room for the items in the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.search.data import DevItem
from ia2_eval.mtbench.search.recipe import ScorerSettings
from ia2_eval.mtbench.search.scorers import reference_answers


@dataclass(frozen=True)
class Room:
    """The context of a model, and the item that needs most of it."""

    model: OpenModel
    longest: DevItem
    scorer: ScorerSettings

    @classmethod
    def of(cls, model: OpenModel, items: Sequence[DevItem], scorer: ScorerSettings, start: PromptSet) -> Room:
        """For these items, behind sets with the headings of `start`."""
        alone = PromptSet(name="none", text="", headings=start.headings)
        return cls(model, max(items, key=lambda item: tokens_needed(model, alone, item, scorer) or 0), scorer)

    def lacking(self, prompt_set: PromptSet) -> str | None:
        """Why a prompt set cannot be scored; None if it can, or where only the endpoint knows the length of a text."""
        needed, context = tokens_needed(self.model, prompt_set, self.longest, self.scorer), self.model.max_length
        if needed is None or context is None or needed <= context:
            return None
        return f"needs {needed} tokens with the longest item, and the context of the model has {context}"


def tokens_needed(model: OpenModel, prompt_set: PromptSet, item: DevItem, scorer: ScorerSettings) -> int | None:
    """Of all that is read for an item; of the first turn and its answer, where answers are generated."""
    if scorer.kind == "log_likelihood":
        last = reference_answers(item)[-1]
        return model.count_tokens(last.context(prompt_set) + last.answer)
    prompt = model.count_tokens(prompt_set.prompt(item.queries[:1]))
    return None if prompt is None else prompt + scorer.decoding.max_new_tokens
