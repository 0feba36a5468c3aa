"""Outcomes behind a figure of the table: of each seed of a group, at the learning rate that is reported."""

from __future__ import annotations

from typing import NamedTuple

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.results.groups import Group, evaluation_on
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.results.outcomes import Outcomes
from ia2_eval.leaderboard.results.results import Results


class ReportedOutcomes(NamedTuple):
    by_seed: dict[int | None, Outcomes]
    faults: tuple[str, ...]  # sample files that cannot be used


def reported_outcomes(results: Results, group: Group, benchmark: str) -> ReportedOutcomes:
    """What the table's accuracy and calibration error of a group on a benchmark are computed from, by seed.

    Accuracy and confidence are the reported ones, at the reported learning rate. `no_icl` has the seed None.
    """
    chosen = chosen_candidates(group, benchmark)
    selection = headline_selection(group.protocol, group.trained)
    reported = group.headline(benchmark)
    by_seed: dict[int | None, Outcomes] = {}
    faults = []
    for record in group.at(chosen[selection]) if selection in chosen else ():
        evaluation = evaluation_on(record, benchmark)
        if evaluation is None or not evaluation.samples:
            continue
        try:
            by_seed[record.cell.seed] = results.outcomes(record, evaluation, reported)
        except UserError as error:
            faults.append(str(error))
    return ReportedOutcomes(by_seed, tuple(faults))
