"""What a reader must know beside the numbers: what failed, what is missing, what was left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.style import column_title
from ia2_eval.scoring.version import SCORING_VERSION


def missing(groups: Sequence[Group]) -> Iterator[str]:
    """One line per place, not per cell: an interrupted run lacks hundreds."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        if group.missing:
            failed = f" ({group.failed} failed)" if group.failed else ""
            lacking[group.place].append(
                f"{column_title(group.column)} {group.missing} of {len(group.expected)}{failed}"
            )
    for place, methods in lacking.items():
        yield f"{place}: {', '.join(methods)} cells"


def undecided(groups: Sequence[Group]) -> Iterator[str]:
    """Groups with finished cells but several learning rates that cannot be told apart, such as without a dev set."""
    for group in groups:
        selection = headline_selection(group.protocol, group.trained)
        absent = [name for name in group.evals if selection not in chosen_candidates(group, name)]
        if group.records and absent:
            score = "dev loss" if selection == "dev" else f"accuracy on {', '.join(absent)}"
            yield f"{group.place}: no learning rate can be chosen for {column_title(group.column)}, it has no {score}"


def of_data(groups: Sequence[Group]) -> Iterator[str]:
    """How data differ from the published ones, and which scores are of an earlier version."""
    evaluations = [found for group in groups for record in group.records for found in record.evaluations]
    yield from dict.fromkeys(f"{get_benchmark(each.eval).title}: {note}" for each in evaluations for note in each.notes)
    old = sum(each.scoring_version < SCORING_VERSION for each in evaluations)
    if old:
        yield (
            f"{old} of {len(evaluations)} evaluations were scored by an earlier version: "
            f"`ia2-eval rescore` on the run's directory brings them to version {SCORING_VERSION}"
        )
