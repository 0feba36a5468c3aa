"""A report as rows of one shape, for programs: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import NamedTuple

from ia2_eval.mtbench.reports.estimates import Estimate
from ia2_eval.mtbench.reports.results import Results


class TidyRow(NamedTuple):
    """One number; what does not apply or is not known is None."""

    model: str | None
    """None: all models."""
    judge: str | None
    quantity: str
    """`score`, `difference`, a win rate, a measure of degeneration, of the judge's noise, or of agreement."""
    turn: int | None
    """None: all turns."""
    category: str | None
    """None: all categories."""
    reference: str | None
    """What it is compared with: a model, for agreement the second judge."""
    value: float | None
    lower: float | None
    upper: float | None
    n: int | None
    """Rows averaged."""
    questions: int | None
    n_failed: int | None
    """Judgments without rating or verdict; they are not in n."""


def tidy(results: Results) -> tuple[TidyRow, ...]:
    return (*_scores(results), *_choices(results), *_pairs(results), *_degeneration(results), *_agreements(results))


def to_csv(rows: Iterable[TidyRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TidyRow._fields)
    writer.writerows(rows)
    return text.getvalue()


def to_json(rows: Iterable[TidyRow], notes: Iterable[str]) -> str:
    """`{"rows": [...], "notes": [...]}`."""
    return json.dumps({"rows": [row._asdict() for row in rows], "notes": list(notes)}, indent=1) + "\n"


def _scores(results: Results) -> Iterator[TidyRow]:
    for scored in results.scored:
        for turn, category, score, failed in scored.parts:
            yield _row("score", score, scored.model, scored.judge, turn, category, n_failed=failed)
        yield _value("duplicates", scored.n_duplicates, scored.model, scored.judge)
        if scored.noise is not None:
            for name, value in scored.noise._asdict().items():
                yield _value(f"noise_{name}", value, scored.model, scored.judge, scored.noise.answers)


def _choices(results: Results) -> Iterator[TidyRow]:
    for model, judge, reference, turn, estimate in results.differences:
        yield _row("difference", estimate, model, judge, turn, reference=reference)
    for best in results.best:
        yield _row("best", best.score, best.model, best.judge, None, best.category)
        if best.optimism is not None:
            yield _row("best_optimism", None, best.model, best.judge, None, best.category)._replace(value=best.optimism)


def _pairs(results: Results) -> Iterator[TidyRow]:
    for scored in results.pairs:
        for rate, turn, category, estimate, failed in scored.parts:
            yield _row(rate, estimate, scored.model, scored.judge, turn, category, results.baseline, failed)
        yield _value("pair_duplicates", scored.n_duplicates, scored.model, scored.judge)


def _degeneration(results: Results) -> Iterator[TidyRow]:
    for model, found in results.degeneration.items():
        for measure, turn, category, estimate in found.parts:
            if estimate is not None:
                yield _row(measure, estimate, model, None, turn, category)


def _agreements(results: Results) -> Iterator[TidyRow]:
    for found in results.agreements:
        for name in ("exact", "within_one", "pearson", "spearman", "kendall", "kendall_models"):
            row = _value(f"agreement_{name}", getattr(found, name), found.model, found.judge_a, found.n)
            yield row._replace(reference=found.judge_b)
        yield _row("agreement_shift", found.shift, found.model, found.judge_a, None, reference=found.judge_b)


def _row(
    quantity: str,
    estimate: Estimate | None,
    model: str | None,
    judge: str | None,
    turn: int | None,
    category: str | None = None,
    reference: str | None = None,
    n_failed: int | None = None,
) -> TidyRow:
    if estimate is None:
        return TidyRow(model, judge, quantity, turn, category, reference, None, None, None, 0, 0, n_failed)
    value, lower, upper = (number if isfinite(number) else None for number in estimate[:3])
    n, questions = estimate.n, estimate.questions
    return TidyRow(model, judge, quantity, turn, category, reference, value, lower, upper, n, questions, n_failed)


def _value(quantity: str, value: float | None, model: str | None, judge: str, n: int | None = None) -> TidyRow:
    return TidyRow(model, judge, quantity, None, None, None, value, None, None, n, None, None)
