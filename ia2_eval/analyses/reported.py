"""The training runs of a run directory that a leaderboard reports: those at the learning rate that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.results.groups import Candidate, Group
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, headline_selection


class Reported(NamedTuple):
    """One method in one place at the learning rate (and weight) that was chosen for it."""

    group: Group
    candidate: Candidate
    evals: tuple[str, ...]
    """Benchmarks for which this choice is the reported one: all under `strict`, where the dev set decides; under
    `paper` it is made for each of them anew, by the accuracy on that very set."""

    @property
    def records(self) -> list[Record]:
        """One for each seed."""
        return self.group.at(self.candidate)


def reported_runs(groups: Sequence[Group]) -> list[Reported]:
    """Every trained method with what is reported of it, in the order of the groups."""
    reported = []
    for group in groups:
        selection = headline_selection(group.protocol, group.trained)
        evals: dict[Candidate, list[str]] = {}
        for benchmark in group.evals if group.trained else ():
            candidate = chosen_candidates(group, benchmark).get(selection)
            if candidate is not None:
                evals.setdefault(candidate, []).append(benchmark)
        reported += [Reported(group, candidate, tuple(names)) for candidate, names in evals.items()]
    return reported
