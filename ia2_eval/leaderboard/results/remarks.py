"""What a reader must know beside the numbers: what failed, what is missing, how the data differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.style import column_title
from ia2_eval.scoring.version import SCORING_VERSION


def failures(results: Results) -> Iterator[str]:
    """Failed cells, each with the last line of its error."""
    for record in results.records:
        if record.status == "failed":
            lines = (record.error or "").strip().splitlines() or ["no error was recorded"]
            yield f"{record.cell.label} ({results.name(record.key)}): {lines[-1].strip()}"


def notes_on(groups: Sequence[Group]) -> Iterator[str]:
    """Cells that have not been run, choices that cannot be made, and scores of earlier versions."""
    yield from _not_run(groups)
    yield from _undecided(groups)
    yield from _scored_before(groups)


def _not_run(groups: Sequence[Group]) -> Iterator[str]:
    """One line per place, not per cell: an interrupted run lacks hundreds."""
    counts: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        count = group.missing - group.failed
        if count:
            counts[group.place].append(f"{column_title(group.column)} {count} of {len(group.expected)}")
    for place, of_methods in counts.items():
        yield f"{place}: {', '.join(of_methods)} cells not run yet"


def _undecided(groups: Sequence[Group]) -> Iterator[str]:
    """Groups with finished cells but several learning rates that cannot be told apart, such as without a dev set."""
    for group in groups:
        selection = headline_selection(group.protocol, group.trained)
        absent = [name for name in group.evals if selection not in chosen_candidates(group, name)]
        if group.records and absent:
            score = "dev loss" if selection == "dev" else f"accuracy on {', '.join(absent)}"
            method = column_title(group.column)
            yield f"{group.place}: no learning rate can be chosen for {method}, its cells have no {score}"


def _scored_before(groups: Sequence[Group]) -> Iterator[str]:
    """Which scores are not of this version."""
    versions = [found.scoring_version for group in groups for record in group.records for found in record.evaluations]
    old = sum(version < SCORING_VERSION for version in versions)
    if old:
        yield (
            f"{old} of {len(versions)} evaluations were scored by an earlier version: "
            f"`ia2-eval rescore` on the run's directory brings them to version {SCORING_VERSION}"
        )


def data_notes(groups: Sequence[Group]) -> Iterator[str]:
    """How data differ from the published ones, each said once."""
    evaluations = [found for group in groups for record in group.records for found in record.evaluations]
    yield from dict.fromkeys(f"{get_benchmark(each.eval).title}: {note}" for each in evaluations for note in each.notes)
