"""A prompt set made from another one, as the command line asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.ablations import Answers, with_answers
from ia2_eval.mtbench.prompts.builders import plus, with_diverse, with_queries, with_random
from ia2_eval.mtbench.prompts.overlap import refuse_questions
from ia2_eval.mtbench.prompts.pools import load_pool
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet


@dataclass(frozen=True)
class Derivation:
    """What to do with a prompt set. One of the first four at most, then the answers."""

    plus: int | None = None
    """The first so many examples of the pool, before the set's own demonstrations."""
    random: int | None = None
    """Demonstrations in all: some of the pool at random, the set's own last."""
    diversity: int | None = None
    """Demonstrations of the pool, spread over its sources, instead of the set's own."""
    unsupervised: int | None = None
    """Queries of the pool without answers, before the set's own demonstrations."""
    answers: Answers | None = None
    pool: Path | None = None
    seed: int | None = None
    """Of all draws; None: 0."""

    @property
    def asked(self) -> bool:
        return self != Derivation()

    def faults(self) -> Iterator[str]:
        """What makes no sense together."""
        sizes = {"--plus": self.plus, "--random": self.random, "--diversity": self.diversity}
        sizes["--unsupervised"] = self.unsupervised
        given = [option for option, size in sizes.items() if size is not None]
        if len(given) > 1:
            yield f"{' and '.join(given)} exclude each other: write one set with --write, and build the next upon it"
        need_pool = given + (["--answers random"] if self.answers == "random" else [])
        if need_pool and self.pool is None:
            yield f"{need_pool[0]} draws from a pool: add --pool FILE"
        if self.pool is not None and not need_pool:
            yield "--pool without effect: add --plus, --random, --diversity, --unsupervised or --answers random"
        if self.seed is not None and need_pool in ([], ["--plus"]):
            yield "--seed without effect: nothing is drawn at random"
        if self.unsupervised is not None and self.answers is not None:
            yield "--answers changes the demonstrations, --unsupervised has queries before them: do one after the other"


def derive(base: PromptSet, derivation: Derivation, say: Callable[[str], None]) -> PromptSet:
    """
    Args:
        base: the set to begin with.
        derivation: what to do with it.
        say: told which rows of the pool were left out.

    Raises:
        UserError: the options make no sense together, or the pool is faulty, too small or asks a question of MT-Bench.
    """
    if faults := list(derivation.faults()):
        raise UserError("; ".join(faults))
    pool: tuple[Demonstration, ...] = ()
    if derivation.pool is not None:
        pool = load_pool(derivation.pool, base.headings, say)
        refuse_questions(pool)
    seed, derived = derivation.seed or 0, base
    if derivation.plus is not None:
        if derivation.plus > len(pool):
            raise UserError(f"--plus {derivation.plus}, but {derivation.pool} has {len(pool)} usable examples")
        derived = plus(base, pool[: derivation.plus])
    elif derivation.random is not None:
        derived = with_random(base, pool, derivation.random, seed)
    elif derivation.diversity is not None:
        derived = with_diverse(base, pool, derivation.diversity, seed)
    elif derivation.unsupervised is not None:
        derived = with_queries(base, pool, derivation.unsupervised, seed)
    return derived if derivation.answers is None else with_answers(derived, derivation.answers, pool, seed)
