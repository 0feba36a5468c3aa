"""What the numbers of the page are, for readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ia2_eval.leaderboard.page.shared import Json
from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.headline import Headline
from ia2_eval.leaderboard.results.reliability import CONFIDENCES as AXES
from ia2_eval.leaderboard.results.summary import describe_intervals
from ia2_eval.leaderboard.significance.best import BEST_CAPTION
from ia2_eval.leaderboard.tables.caption import ACCURACIES, CONFIDENCES
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.calibration import BINS

SELECTIONS = {
    "dev": "dev: lowest dev loss, once per source, also for other evaluation sets",
    "oracle": "oracle: highest accuracy on the very set that is reported, so optimistic",
}


def headline_words(reported: Headline, protocol: Protocol, single_token: bool) -> dict[str, Json]:
    """What is reported of some answers: the metrics' names, the words beneath the table, those beneath a diagram."""
    accuracy = ACCURACIES[reported.accuracy] if single_token else "the answer that is read in the text is the right one"
    bins = f"{BINS} {reported.bins} bins"
    names = f"{reported.accuracy}, {reported.calibration}"
    kind = "labels" if single_token else "generated answers"
    return {
        "accuracy": reported.accuracy,
        "calibration": reported.calibration,
        "equal_width": reported.bins == "equal-width",
        "caption": f"{protocol}, {kind} ({names}). Accuracy: {accuracy.removesuffix(f' ({reported.accuracy})')}. "
        f"ECE: {bins} of {CONFIDENCES[reported.confidence]}.",
        "axis": AXES[reported.confidence],
        "bins": bins,
    }


def table_words(groups: Sequence[Group], rows: Sequence[Row], bold: bool) -> Iterator[str]:
    """What must be said beneath the means, one remark each. `bold`: whether some are marked as best."""
    if any(row.seeds_expected is not None for row in rows):
        spreads = {"strict": "sample", "paper": "population"}
        found = dict.fromkeys(group.protocol for group in groups)
        stds = ", ".join(f"{spreads[protocol]} std under {protocol}" for protocol in found)
        yield f"Accuracy and ECE: mean ± std over seeds ({stds}); accuracy in per cent."
    if intervals := describe_intervals(row.interval for row in rows):
        yield f"[…]: 95 % interval of the mean, {'; '.join(intervals)}."
    if bold:
        yield f"{BEST_CAPTION} Columns: the methods of one table of `leaderboard build`; hidden rows count, too."
    if any(row.seeds_expected is None for row in rows):
        yield "no ICL is one evaluation: it has no std, and stands beside every N."
    if chosen := [text for name, text in SELECTIONS.items() if any(row.selection == name for row in rows)]:
        yield f"Learning rate chosen by {'; '.join(chosen)}."
    yield "n: evaluated examples of a seed. Seeds: those that have finished / those expected."
    if any(row.seeds == row.seeds_expected and not row.complete for row in rows):
        yield "†: another learning rate lacks seeds and was not a candidate."
    if any(row.ood for row in rows):
        yield "OOD: out of distribution; demonstrations and training examples come from the source."
