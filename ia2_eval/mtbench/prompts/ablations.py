"""Whether it matters that queries and answers belong together: the same queries with other answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Literal

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet

Answers = Literal["correct", "shuffled", "random", "none"]


def with_answers(base: PromptSet, answers: Answers, pool: Sequence[Demonstration] = (), seed: int = 0) -> PromptSet:
    """A prompt set whose queries have other answers; queries without one keep none.

    Args:
        base: the set.
        answers: `correct`, the set's own; `shuffled`, each query has the answer of a later one, rotated by the smallest
            number of places that leaves no answer where it was; `random`, answers of pool examples that are not in the
            set; `none`, none at all.
        pool: for `random`.
        seed: for `random`.

    Raises:
        UserError: no rotation moves every answer, or the pool has too few other answers.
    """
    if answers == "correct":
        return base
    own = [
        turn.answer for demonstration in base.demonstrations for turn in demonstration.turns if turn.answer is not None
    ]
    if not own:
        raise UserError(f"the prompt set {base.name!r} has no answers that could be exchanged or left out")
    replaced: Sequence[str | None] = [None] * len(own)
    if answers == "shuffled":
        replaced = _rotated(base.name, own)
    elif answers == "random":
        replaced = _drawn(base, own, pool, seed)
    name = f"{base.name}.{answers}_answers" + (f".seed{seed}" if answers == "random" else "")
    return build_prompt_set(name, base.instruction, _exchange(base.demonstrations, replaced), base.headings)


def _rotated(name: str, own: Sequence[str]) -> list[str]:
    for places in range(1, len(own)):
        rotated = [*own[places:], *own[:places]]
        if all(new != old for new, old in zip(rotated, own, strict=True)):
            return rotated
    raise UserError(f"the {len(own)} answers of {name!r} cannot be shuffled so that none stays: too few different ones")


def _drawn(base: PromptSet, own: Sequence[str], pool: Sequence[Demonstration], seed: int) -> list[str]:
    queries = {turn.query.strip() for demonstration in base.demonstrations for turn in demonstration.turns}
    others = dict.fromkeys(
        turn.answer
        for demonstration in pool
        if not queries & {turn.query.strip() for turn in demonstration.turns}
        for turn in demonstration.turns
        if turn.answer is not None and turn.answer not in own
    )
    if len(others) < len(own):
        raise UserError(f"random answers for {base.name!r} take {len(own)} of a pool, which has {len(others)} others")
    return Random(seed).sample(list(others), len(own))


def _exchange(demonstrations: Iterable[Demonstration], answers: Sequence[str | None]) -> list[Demonstration]:
    following = iter(answers)
    return [
        demonstration.model_copy(
            update={
                "turns": tuple(
                    turn if turn.answer is None else turn.model_copy(update={"answer": next(following)})
                    for turn in demonstration.turns
                )
            }
        )
        for demonstration in demonstrations
    ]
