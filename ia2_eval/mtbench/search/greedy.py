"""Greedy forward search: in each round, the demonstration that helps most is put before the set's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet
from ia2_eval.mtbench.prompts.urial_format import is_regular
from ia2_eval.mtbench.search.data import DevItem, SearchData
from ia2_eval.mtbench.search.race import Standing, race
from ia2_eval.mtbench.search.recipe import SearchRecipe
from ia2_eval.mtbench.search.schedule import Schedule, exhaustive, pairs, racing
from ia2_eval.mtbench.search.scorers import Scorer
from ia2_eval.mtbench.search.trials import Part, Trial, TrialLedger

Lacking = Callable[[PromptSet], str | None]
"""Why a prompt set cannot be scored; None if it can."""
Done = Callable[[int], None]
"""Told how many (prompt set, item) pairs were scored, or were known."""


@dataclass(frozen=True)
class LeftOut:
    """A candidate that was not tried."""

    round: int
    candidate: int
    reason: str


@dataclass(frozen=True)
class Round:
    """What a round chose."""

    number: int
    """From 1."""
    prompt_set: PromptSet
    """With the new demonstration."""
    rows: tuple[int, ...]
    """Of its new demonstrations in the pool, in the order of the set."""
    standings: tuple[Standing, ...]
    """Candidates by row in the pool, best first."""
    schedule: Schedule

    @property
    def chosen(self) -> Standing:
        return self.standings[0]


@dataclass(frozen=True)
class Scores:
    """Scores of prompt sets, from the ledger where they are known."""

    scorer: Scorer
    ledger: TrialLedger
    done: Done = lambda count: None

    def of(
        self, prompt_set: PromptSet, items: Sequence[DevItem], part: Part, number: int, candidate: int | None = None
    ) -> list[float | None]:
        """Of a prompt set on some items.

        Raises:
            UserError: the scorer cannot go on, or the score cannot be written down.
        """
        known, sha256 = self.ledger.scores, prompt_set.sha256
        missing = [item for item in items if (sha256, item.row) not in known]
        if missing:
            began = time.monotonic()
            scores = self.scorer.score(prompt_set, missing)
            self.ledger.add(
                Trial(
                    part=part,
                    round=number,
                    candidate=candidate,
                    prompt_sha256=sha256,
                    rows=tuple(item.row for item in missing),
                    scores=tuple(scores),
                    seconds=round(time.monotonic() - began, 3),
                )
            )
        self.done(len(items))
        return [known[sha256, item.row] for item in items]


def search(
    recipe: SearchRecipe,
    data: SearchData,
    start: PromptSet,
    scores: Scores,
    lacking: Lacking,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[list[Round], list[LeftOut]]:
    """Run all rounds; a search whose candidates no longer fit ends early.

    Raises:
        UserError: the starting set or all candidates cannot be scored, or the budget is not enough.
    """
    if fault := lacking(start):
        raise UserError(
            f"the starting set {start.name!r} {fault}: take a shorter set, shorter items, or a model with more context"
        )
    scores.of(start, data.dev, "dev", 0)
    rounds: list[Round] = []
    left_out: list[LeftOut] = []
    chosen: list[int] = []
    for number in range(1, recipe.rounds + 1):
        tried = {
            row: extended(start, [data.pool[each] for each in (*chosen, row)], f"round_{number}")
            for row in data.pool
            if row not in chosen
        }
        reasons = {row: reason for row, prompt_set in tried.items() if (reason := lacking(prompt_set))}
        left_out += [LeftOut(number, row, reason) for row, reason in reasons.items()]
        fitting = {row: prompt_set for row, prompt_set in tried.items() if row not in reasons}
        worst = next(iter(reasons.items()), (0, ""))
        if reasons:
            say(f"round {number}: {len(reasons)} of {len(tried)} candidates left out; row {worst[0]} {worst[1]}")
        if not fitting:
            if not rounds:
                raise UserError(f"no candidate of the pool can be tried: row {worst[0]} {worst[1]}")
            say(f"round {number}: no candidate is left; the search ends with {len(rounds)} rounds")
            break
        rounds.append(_round(recipe, data.dev, number, chosen, fitting, scores))
        chosen = list(rounds[-1].rows)
        say(f"round {number}: row {chosen[-1]} chosen of {len(fitting)} by {pairs(rounds[-1].schedule)} scores")
    return rounds, left_out


def _round(
    recipe: SearchRecipe,
    dev: Sequence[DevItem],
    number: int,
    chosen: Sequence[int],
    tried: Mapping[int, PromptSet],
    scores: Scores,
) -> Round:
    schedule, rows = schedule_of(recipe, len(tried)), list(tried)

    def score(place: int, block: range) -> list[float | None]:
        items = [dev[item] for item in block]
        return scores.of(tried[rows[place]], items, "dev", number, rows[place])

    standings = tuple(standing._replace(candidate=rows[standing.candidate]) for standing in race(schedule, score))
    best = standings[0].candidate
    return Round(number, tried[best], (*chosen, best), standings, schedule)


def schedule_of(recipe: SearchRecipe, candidates: int) -> Schedule:
    """Of a round with so many candidates.

    Raises:
        UserError: the budget is not enough.
    """
    if recipe.strategy == "exhaustive":
        return exhaustive(candidates, recipe.dev.size)
    return racing(candidates, recipe.dev.size, recipe.eta, recipe.budget)


def extended(start: PromptSet, demonstrations: Sequence[Demonstration], name: str) -> PromptSet:
    """A set with new demonstrations before its own, as published (icl-alignment, urial.plus.best_4&5).

    Raises:
        UserError: the text of the set is more than an instruction and demonstrations.
    """
    if not is_regular(start):
        raise UserError(
            f"the prompt set {start.name!r} cannot be extended: its text is more than its instruction and "
            "demonstrations in URIAL's format; store those as YAML and use that file"
        )
    return build_prompt_set(name, start.instruction, [*demonstrations, *start.demonstrations], start.headings)
