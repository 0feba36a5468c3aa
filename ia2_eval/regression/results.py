"""Whether results that were made elsewhere are those of one version of the code, and whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ia2_eval.leaderboard.results.read import Run
from ia2_eval.regression.check import Check

SHOWN = 12
"""Digits of a commit."""


def results_checks(run: Run) -> Iterator[Check]:
    """A run goes on where it was interrupted, and keeps what earlier code gave: then nothing can be told of today's."""
    for fault in run.faults:
        yield Check("results", fault.partition(":")[0], "cannot tell", fault)
    made_by = Counter(
        (record.provenance.git_commit, record.provenance.git_dirty, tuple(sorted(record.provenance.versions.items())))
        for record in run.records
    )
    codes = Counter(_code(commit, dirty) for commit, dirty, _ in made_by.elements())
    if len(codes) > 1:
        listed = ", ".join(f"{count} records by {code}" for code, count in codes.most_common())
        yield Check("results", "code", "cannot tell", f"of several versions ({listed}): run them into a new directory")
    elif len(made_by) > 1:
        yield Check("results", "code", "cannot tell", "made with several versions of packages: run them anew")
    else:
        yield from (Check("results", "code", "pass", f"all records were made by {code}") for code in codes)


def _code(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "an installed package"
    return f"commit {commit[:SHOWN]}{' and changes' if dirty else ''}"
