"""Which learning rate is reported; under `paper`, with which weight of `ia2+sft`."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum, inf
from typing import Literal, TypeVar

from ia2_eval.leaderboard.results.groups import Candidate, Group, evaluation_on
from ia2_eval.protocol import Protocol

Selection = Literal["none", "dev", "oracle"]
"""How a candidate was chosen.

`none`: the method has no learning rate. `dev`: lowest dev loss, once per source, used for every evaluation set.
`oracle`: highest accuracy on the very evaluation set that is reported, so its score is optimistic.
"""


def headline_selection(protocol: Protocol, trained: bool) -> Selection:
    """What the table reports: the dev choice under `strict`; the oracle under `paper`, as published."""
    if not trained:
        return "none"
    return "dev" if protocol == "strict" else "oracle"


def chosen_candidates(group: Group, benchmark: str) -> dict[Selection, Candidate]:
    """Candidate by selection. Without training `none` has the only one; a choice that cannot be made is absent."""
    if not group.trained:
        return {"none": Candidate(None, None)}
    metric = group.headline(benchmark).accuracy
    dev_loss: dict[Candidate, dict[int | None, float]] = {}
    negative_accuracy: dict[Candidate, dict[int | None, float]] = {}
    for record in sorted(group.records, key=lambda record: Candidate.of(record.cell).order):
        candidate, seed = Candidate.of(record.cell), record.cell.seed
        assert record.training is not None  # checked as the record was read
        loss = record.training.dev_loss
        dev_loss.setdefault(candidate, {})[seed] = inf if loss is None or loss != loss else loss
        evaluation = evaluation_on(record, benchmark)
        if evaluation is not None and metric in evaluation.metrics:
            negative_accuracy.setdefault(candidate, {})[seed] = -evaluation.metrics[metric]
    chosen: dict[Selection, Candidate | None] = {"oracle": lowest_mean(negative_accuracy)}
    if group.protocol == "strict":
        chosen = {"dev": lowest_mean(dev_loss), **chosen}
    return {selection: candidate for selection, candidate in chosen.items() if candidate is not None}


T = TypeVar("T")


def lowest_mean(scores: Mapping[T, Mapping[int | None, float]]) -> T | None:
    """The candidate with the lowest mean score over seeds; the first on a tie.

    Only those with the greatest number of seeds are considered (one lucky seed must not beat five), and they are
    compared over the seeds that all of them have (the same draws), or over their own where they share none. A single
    one needs no score. None when there is none, or when several have no finite mean.

    Args:
        scores: candidate -> seed -> score; infinite where training left no score.
    """
    most = max(map(len, scores.values()), default=0)
    candidates = {name: by_seed for name, by_seed in scores.items() if by_seed and len(by_seed) == most}
    if len(candidates) == 1:
        return next(iter(candidates))
    shared = set.intersection(*map(set, candidates.values())) if candidates else set()

    def mean(candidate: T) -> float:
        values = [score for seed, score in candidates[candidate].items() if seed in shared or not shared]
        return float(f"{fsum(values) / len(values):.12g}")  # equal means must tie whatever their rounding errors

    best = min(candidates, key=mean, default=None)
    return None if best is None or mean(best) == inf else best
