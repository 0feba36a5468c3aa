"""Which means are marked as the best, as in the tables."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.leaderboard.page.means import Entry
from ia2_eval.leaderboard.results.aggregate import training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.learning_rate import headline_selection
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.significance.best import significant_best
from ia2_eval.leaderboard.tables.layout import shown_together
from ia2_eval.leaderboard.tables.table import places


def best_entries(results: Results, groups: Sequence[Group]) -> frozenset[Entry]:
    """Those of accuracy and of calibration error that are significantly best.

    A method without an adapter stands in the tables of all adapters, and one without labels in those of both types: it
    is best only if it is the best in each of them.

    Args:
        results: where the examples are.
        groups: all.
    """
    best: set[Entry] = set()
    others: set[Entry] = set()
    for _, _, shown in shown_together(groups):
        for place in (*places(shown, single_token=True), *places(shown, single_token=False)):
            row = [
                group
                for group in shown
                if group.source == place.source
                and place.eval in group.evals
                and place.n in training_sizes(shown, group)
            ]
            found = significant_best(results, row, place.eval)
            for group in row:
                reported, selection = group.headline(place.eval), headline_selection(group.protocol, group.trained)
                for metric, column in ((reported.accuracy, found.accuracy), (reported.calibration, found.calibration)):
                    entry = Entry.at(group, place.n, place.eval, selection, metric)
                    (best if group.column == column else others).add(entry)
    return frozenset(best - others)
