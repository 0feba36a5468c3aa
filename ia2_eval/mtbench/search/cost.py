"""What a search costs, before it begins."""

from __future__ import annotations

from collections.abc import Iterator

from ia2_eval.mtbench.search.data import SearchData
from ia2_eval.mtbench.search.greedy import schedule_of
from ia2_eval.mtbench.search.recipe import SearchRecipe
from ia2_eval.mtbench.search.schedule import LEAST_ITEMS, pairs


def scored_pairs(recipe: SearchRecipe, data: SearchData) -> int:
    """(Prompt set, item) pairs of the whole search, if all candidates fit the model's context.

    Raises:
        UserError: the budget is not enough.
    """
    last = min(recipe.rounds, len(data.pool))
    searched = sum(pairs(schedule_of(recipe, len(data.pool) - chosen)) for chosen in range(last))
    return len(data.dev) + searched + len(data.held_out) * (last + 1)


def describe_cost(recipe: SearchRecipe, data: SearchData) -> Iterator[str]:
    """Lines to print.

    Raises:
        UserError: the budget is not enough.
    """
    last, candidates, items = min(recipe.rounds, len(data.pool)), len(data.pool), len(data.dev)
    yield f"{candidates} candidates, {items} dev items, {len(data.held_out)} held-out items, rounds: {last}"
    all_pairs = searched = 0
    for number in range(1, last + 1):
        schedule = schedule_of(recipe, candidates - number + 1)
        blocks = ", then ".join(f"{rung.candidates} x {rung.items}" for rung in schedule)
        yield f"round {number}: {blocks} = {pairs(schedule)} scores (candidates x items)"
        searched += pairs(schedule)
        all_pairs += schedule[0].candidates * items
    if recipe.strategy == "racing":
        yield f"racing: {searched} scores instead of {all_pairs} of an exhaustive search, {searched / all_pairs:.0%}"
        if schedule_of(recipe, candidates)[-1].candidates > recipe.eta:
            yield f"{items} dev items are few: a block has {LEAST_ITEMS} or more; a larger dev.size allows more blocks"
    total = scored_pairs(recipe, data)
    yield (
        f"in all {total} scores: {items} for the starting set, {searched} in the rounds, "
        f"{len(data.held_out) * (last + 1)} on the held-out set at the end"
    )
    if recipe.scorer.kind == "judge" and recipe.scorer.judge is not None:
        answers = recipe.scorer.decoding.samples * total
        turns = max(len(item.turns) for item in (*data.dev, *data.held_out))
        most = "" if turns == 1 else " at most"
        calls = answers * turns * recipe.scorer.judge.repeats
        yield f"{answers * turns} generated answers and {calls} judge calls{most}"
