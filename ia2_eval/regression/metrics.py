"""Whether scoring gives the metrics that it gave, for rows that are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import isclose, isnan

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.experiments.rescore import rescore
from ia2_eval.experiments.store import Store
from ia2_eval.regression.check import Check
from ia2_eval.regression.reference import Reference
from ia2_eval.scoring.version import SCORING_VERSION

TOLERANCE = 1e-3
"""By which a metric of the same rows may differ between machines: two answers of equal confidence there, but not here,
may change places."""
OF_NEXT_TOKEN = "_published"
"""Ends the names of metrics that need `next_token`, which a reference does not keep."""

Changes = dict[str, tuple[float, float | None]]


def changes(before: Mapping[str, float], after: Mapping[str, float], tolerance: float = 0.0) -> Changes:
    """Metrics that are others now, by name: before and after; None where there is none any more. New ones are none."""
    found: Changes = {}
    for name, value in before.items():
        now = after.get(name)
        same = now is not None and (
            isclose(value, now, rel_tol=tolerance, abs_tol=tolerance) or (isnan(value) and isnan(now))
        )
        if not same:
            found[name] = value, now
    return found


def shown(found: Changes) -> str:
    """The first of the changes, and how many there are."""
    name, (before, after) = next(iter(found.items()))
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{name} {before:.4g} -> {'none' if after is None else f'{after:.4g}'}{more}"


def scoring_checks(reference: Reference) -> Iterator[Check]:
    """Score the rows of the reference anew; one check for each benchmark."""
    evaluations = [(each.eval, record, each) for record in reference.run.records for each in record.evaluations]
    for name, group in groupby(sorted(evaluations, key=lambda each: each[0]), key=lambda each: each[0]):
        yield _check(reference, get_benchmark(name).title, [(record, evaluation) for _, record, evaluation in group])


def _check(reference: Reference, title: str, evaluations: Sequence[tuple[Record, Evaluation]]) -> Check:
    versions = {evaluation.scoring_version for _, evaluation in evaluations}
    if versions != {SCORING_VERSION}:
        return Check("scoring", title, "cannot tell", other_version(max(versions - {SCORING_VERSION}), SCORING_VERSION))
    changed: list[Changes] = []
    for record, evaluation in evaluations:
        recorded = {name: value for name, value in evaluation.metrics.items() if not name.endswith(OF_NEXT_TOKEN)}
        try:
            measured = rescore(Store(reference.directory), record, evaluation).measured.metrics
        except (OSError, ValueError, UserError) as error:
            return Check("scoring", title, "regression", f"the reference's rows cannot be scored: {error}")
        if found := changes(recorded, measured, TOLERANCE):
            changed.append(found)
    if changed:
        reason = (
            f"{len(changed)} of {len(evaluations)} have other metrics for the same rows: {shown(max(changed, key=len))}"
        )
        return Check("scoring", title, "regression", reason)
    return Check("scoring", title, "pass", f"the metrics of {len(evaluations)} evaluations follow from their rows")


def other_version(before: int, after: int) -> str:
    return f"scoring is of version {after} instead of {before}: `ia2-eval rescore` the reference"
