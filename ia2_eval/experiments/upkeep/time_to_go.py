"""How long a run has still to go, by what its done cells took."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from statistics import fmean
from typing import NamedTuple

from ia2_eval.experiments.upkeep.glance import Kind
from ia2_eval.experiments.upkeep.state import State

LIKENESS: tuple[Callable[[Kind], Hashable], ...] = (lambda kind: kind, lambda kind: kind.method, lambda kind: None)
"""What a cell's time is taken from, the best first: the same source, N, method and adapter; the same method; any."""


class TimeToGo(NamedTuple):
    """An estimate and what it rests on."""

    seconds: float
    workers: int
    """That share what is left."""
    done: int
    """Cells whose time is known."""
    unlike: int
    """Cells to go of which none of the same source, N, method and adapter is done."""


def time_to_go(state: State) -> TimeToGo | None:
    """An estimate for the cells that are left or running, these as if they had not begun; None where none is done."""
    done = [(record.kind, record.seconds) for record in state.having("ok")]
    if not done:
        return None
    means = [_means((like(kind), seconds) for kind, seconds in done) for like in LIKENESS]
    seconds, unlike = 0.0, 0
    for kind in map(state.kind, (*state.running, *state.left)):
        level = next(level for level, like in enumerate(LIKENESS) if like(kind) in means[level])
        seconds += means[level][LIKENESS[level](kind)]
        unlike += level > 0
    workers = max(1, sum(seen.at_work for seen in state.processes))
    return TimeToGo(seconds / workers, workers, len(done), unlike)


def _means(pairs: Iterable[tuple[Hashable, float]]) -> Mapping[Hashable, float]:
    by_group: dict[Hashable, list[float]] = {}
    for group, seconds in pairs:
        by_group.setdefault(group, []).append(seconds)
    return {group: fmean(values) for group, values in by_group.items()}
