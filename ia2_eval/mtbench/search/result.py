"""What a search found, and how much of its gain is due to the choice."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, sqrt

import numpy as np

from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.prompts.prompt_set import PromptSet, Turn
from ia2_eval.mtbench.search.data import SearchData
from ia2_eval.mtbench.search.greedy import LeftOut, Round, Scores
from ia2_eval.mtbench.search.race import mean_of_scored
from ia2_eval.mtbench.search.schedule import pairs
from ia2_eval.scoring.bootstrap import Floats, bootstrap_interval, mean_of


class Gain(Frozen):
    """A difference of mean scores and its 95 % interval; no interval from fewer than two items."""

    value: float
    lower: float | None
    upper: float | None
    standard_error: float | None
    items: int
    """That both sides have a score for."""

    def __str__(self) -> str:
        return f"{self.value:+.3f} {self.interval}".rstrip()

    @property
    def interval(self) -> str:
        """Such as `[+0.120, +0.340]`; empty if there is none."""
        return "" if self.lower is None else f"[{self.lower:+.3f}, {self.upper:+.3f}]"


class Ranked(Frozen):
    """A candidate of a round."""

    rank: int
    candidate: int
    """Row in the pool."""
    items: int
    """That it was scored on; fewer for those that dropped out early."""
    score: float | None
    gain: Gain | None
    """Over the starting set, on these items."""
    turns: tuple[Turn, ...]


class RoundResult(Frozen):
    """A round's winner, relative to the starting set."""

    round: int
    rows: tuple[int, ...]
    """Of the new demonstrations in the pool, in the order of the set."""
    prompt_set: str
    """Its file."""
    prompt_sha256: str
    dev_score: float | None
    dev_gain: Gain | None
    held_out_score: float | None
    held_out_gain: Gain | None
    bias: Gain | None
    """Gain on the dev set - gain on the held-out set: what the choice made of chance."""
    scored_pairs: int
    exhaustive_pairs: int
    candidates: tuple[Ranked, ...]


class LeftOutCandidate(Frozen):
    """A candidate that was not tried."""

    round: int
    candidate: int
    reason: str


class SearchResult(Frozen):
    """Content of `search.json`."""

    name: str
    unit: str
    """Of the scores."""
    start: str
    start_sha256: str
    dev_items: int
    held_out_items: int
    start_dev_score: float | None
    start_held_out_score: float | None
    rounds: tuple[RoundResult, ...]
    best_round: int
    """The one with the highest score on the dev set, the first of equals: its set is the winner."""
    left_out: tuple[LeftOutCandidate, ...]
    unscored: int
    """(Prompt set, item) pairs without a score, which no comparison counts."""
    statement: str
    """How much of the winner's gain is selection bias."""


def report(
    name: str,
    data: SearchData,
    start: PromptSet,
    rounds: Sequence[Round],
    left_out: Sequence[LeftOut],
    scores: Scores,
) -> SearchResult:
    """Score the starting set and the winners on the held-out set, for the first time, and compare them.

    Raises:
        UserError: the scorer cannot go on.
    """
    start_dev = _array(scores.of(start, data.dev, "dev", 0))
    start_held_out = _array(scores.of(start, data.held_out, "held_out", 0))
    results = []
    for found in rounds:
        dev, held_out = (
            found.chosen.scores,
            _array(scores.of(found.prompt_set, data.held_out, "held_out", found.number)),
        )
        dev_gain, held_out_gain = gain(dev, start_dev), gain(held_out, start_held_out)
        results.append(
            RoundResult(
                round=found.number,
                rows=found.rows,
                prompt_set=f"prompt_sets/{found.prompt_set.name}.yaml",
                prompt_sha256=found.prompt_set.sha256,
                dev_score=_mean(dev),
                dev_gain=dev_gain,
                held_out_score=_mean(held_out),
                held_out_gain=held_out_gain,
                bias=bias(dev_gain, held_out_gain),
                scored_pairs=pairs(found.schedule),
                exhaustive_pairs=found.schedule[0].candidates * len(data.dev),
                candidates=tuple(
                    Ranked(
                        rank=rank,
                        candidate=standing.candidate,
                        items=standing.items,
                        score=_mean(standing.scores),
                        gain=gain(standing.scores, start_dev),
                        turns=data.pool[standing.candidate].turns,
                    )
                    for rank, standing in enumerate(found.standings, start=1)
                ),
            )
        )
    best = max(results, key=lambda found: -np.inf if found.dev_gain is None else found.dev_gain.value)
    return SearchResult(
        name=name,
        unit=scores.scorer.unit,
        start=start.name,
        start_sha256=start.sha256,
        dev_items=len(data.dev),
        held_out_items=len(data.held_out),
        start_dev_score=_mean(start_dev),
        start_held_out_score=_mean(start_held_out),
        rounds=tuple(results),
        best_round=best.round,
        left_out=tuple(LeftOutCandidate(**vars(each)) for each in left_out),
        unscored=sum(score is None for score in scores.ledger.scores.values()),
        statement=statement(best, scores.scorer.unit),
    )


def gain(scores: Floats, reference: Floats) -> Gain | None:
    """Mean difference, paired by item: over those that both have a score for; None if there are none."""
    differences = (scores - reference)[~np.isnan(scores - reference)]
    if not len(differences):
        return None
    value, items = float(differences.mean()), len(differences)
    if items < 2:
        return Gain(value=value, lower=None, upper=None, standard_error=None, items=items)
    lower, upper, error = bootstrap_interval(mean_of(differences), items)
    return Gain(value=value, lower=lower, upper=upper, standard_error=error, items=items)


def bias(dev: Gain | None, held_out: Gain | None) -> Gain | None:
    """Difference of two gains on independent items. Its interval is Student's, with the degrees of freedom of the fewer
    items: wide where a handful says nothing for certain."""
    from scipy.stats import t  # takes a second to import

    if dev is None or held_out is None:
        return None
    value, items = dev.value - held_out.value, min(dev.items, held_out.items)
    if dev.standard_error is None or held_out.standard_error is None:
        return Gain(value=value, lower=None, upper=None, standard_error=None, items=items)
    error = sqrt(dev.standard_error**2 + held_out.standard_error**2)
    reach = float(t.ppf(0.975, items - 1)) * error
    return Gain(value=value, lower=value - reach, upper=value + reach, standard_error=error, items=items)


def statement(best: RoundResult, unit: str) -> str:
    """How much of a gain is selection bias, in words and numbers."""
    if best.dev_gain is None or best.held_out_gain is None or best.bias is None:
        return "Too few items have a score to say how much of the gain is selection bias."
    certain = best.bias.lower is not None and best.bias.lower > 0
    if certain:
        words = "which is selection bias: the winner was chosen on the dev set, partly for its luck there"
    else:
        words = "from which no selection bias can be told for certain with so many items"
    return (
        f"Over the starting set, the winner (round {best.round}) gains {best.dev_gain} {unit} on the dev set that it "
        f"was chosen on, and {best.held_out_gain} on the held-out set. The difference is {best.bias}, {words}. "
        "Report the held-out gain. Intervals: 95 %, paired by item."
    )


def _array(scores: Sequence[float | None]) -> Floats:
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)


def _mean(scores: Floats) -> float | None:
    mean = float(mean_of_scored(scores))
    return None if isnan(mean) or mean == -np.inf else mean
