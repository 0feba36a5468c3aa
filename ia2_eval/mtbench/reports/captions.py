"""What must be said of the numbers of a report, under its tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ia2_eval.mtbench.judging.trial_judge import SERVED_BY
from ia2_eval.mtbench.reports.estimates import INTERVAL
from ia2_eval.mtbench.reports.pairwise import PairScores
from ia2_eval.mtbench.reports.scores import ModelScores

WARNING = "Warning:"
"""How a line of a caption begins that says what can make scores wrong."""

FEW = 10
"""Questions: bootstrap intervals over fewer are not to be relied on."""


def intervals(rows: Iterable[Sequence[Sequence[str]]], what: str = INTERVAL) -> str:
    """What the intervals are; empty where no cell has one beside its value."""
    return f" [ ]: {what}." if any(len(cell) > 1 for row in rows for cell in row) else ""


def too_narrow(questions: int) -> str:
    """A warning of intervals over few questions; empty where they are enough, or too few for an interval."""
    return f"{WARNING} intervals over {questions} questions are too narrow." if 1 < questions < FEW else ""


def origin(judge: str, scored: Sequence[ModelScores] | Sequence[PairScores]) -> Iterator[str]:
    """Who judged when, and whether the judge may have changed meanwhile."""
    served = sorted({name for of_model in scored for name in of_model.served_by})
    dates = sorted({date for of_model in scored for date in of_model.dates})
    when = f", judged {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else ", dates not known"
    yield f"Judge: {judge}, served by {' and '.join(served) if served else '(not recorded)'}{when}."
    if SERVED_BY in served:
        yield f"{WARNING} the trial judge judges nothing: these numbers only show what a report looks like."
    if len(served) > 1:
        yield f"{WARNING} {len(served)} models served this judge; scores from different ones do not compare."
    if len(dates) > 1:
        yield f"{WARNING} judged on {len(dates)} days; what serves a judge's name can change, so compare with care."


def rows_left_out(scored: Sequence[ModelScores] | Sequence[PairScores], rule: str, total: int) -> str:
    failed, duplicates = (sum(getattr(m, name) for m in scored) for name in ("n_failed", "n_duplicates"))
    return f"Failed judgments: {failed} of {total}, in no mean. Duplicates: {duplicates} (rule: {rule})."


def not_corrected(comparisons: int) -> str:
    return f"not corrected for {comparisons} comparison{'s' * (comparisons != 1)}"
