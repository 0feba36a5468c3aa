"""Scores of models from single judgments, as FastChat's show_result pools them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from math import fsum
from typing import NamedTuple

from ia2_eval.mtbench.judging.judgments import FAILED_SCORE, Judgment, PairJudgment
from ia2_eval.mtbench.reports.duplicates import Duplicates, without_duplicates
from ia2_eval.mtbench.reports.estimates import Estimate, pooled_mean
from ia2_eval.mtbench.reports.noise import Noise, judge_noise

Score = Estimate
"""A mean rating, from 1 to 10."""


class Part(NamedTuple):
    """Some of a model's rows."""

    turn: int | None
    """None: all turns."""
    category: str | None
    """None: all categories."""
    score: Score | None
    """None: no row is rated."""
    n_failed: int
    """Rows that have no rating; they are in no mean."""


@dataclass(frozen=True)
class ModelScores:
    """What one judge gave one model."""

    model: str
    judge: str
    parts: tuple[Part, ...]
    """All rows, each turn, each category, each category of each turn."""
    noise: Noise | None
    """None: no answer was judged more than once."""
    n_duplicates: int
    """Rows beyond the first of the same repeat of the same answer, whatever was done with them."""
    served_by: tuple[str, ...]
    """The judge's names as the endpoint returned them; empty if unknown."""
    dates: tuple[str, ...]
    """Days of its judgments in UTC, in order."""
    rated: tuple[Judgment, ...] = field(repr=False)
    """The rows that are averaged."""

    @property
    def average(self) -> Score | None:
        """Over all rated rows: not the mean of the two turns where some rows failed."""
        return self.part().score

    @property
    def categories(self) -> dict[str, Score]:
        """Over both turns; those with a rated row."""
        return {part.category: part.score for part in self.parts if part.category and not part.turn and part.score}

    @property
    def n_failed(self) -> int:
        return self.part().n_failed

    def part(self, turn: int | None = None, category: str | None = None) -> Part:
        """Some of the rows; without score where there are none."""
        found = (part for part in self.parts if (part.turn, part.category) == (turn, category))
        return next(found, Part(turn, category, None, 0))


def scores(
    judgments: Sequence[Judgment], categories: Mapping[int, str], duplicates: Duplicates = "last"
) -> tuple[ModelScores, ...]:
    """One for each judge and model: judges in the order of the rows, a judge's models by average, the best first.

    Args:
        judgments: of any models and judges, in the order of their files.
        categories: of the questions, by id; one that is not there counts in the totals only.
        duplicates: what is done with several judgments of the same repeat of the same answer.

    Raises:
        UserError: there are duplicates and the rule is `error`.
    """
    groups: dict[str, dict[str, list[Judgment]]] = {}
    for judgment in judgments:
        groups.setdefault(judgment.judge[0], {}).setdefault(judgment.model, []).append(judgment)
    found: list[ModelScores] = []
    for judge, models in groups.items():
        of_judge = [_model_scores(model, judge, rows, categories, duplicates) for model, rows in models.items()]
        found += sorted(of_judge, key=lambda scored: -scored.average.value if scored.average else 0.0)
    return tuple(found)


def _model_scores(
    model: str, judge: str, rows: Sequence[Judgment], categories: Mapping[int, str], duplicates: Duplicates
) -> ModelScores:
    kept = without_duplicates(rows, _identity, duplicates, _mean)
    turns = (None, *sorted({row.turn for row in kept}))
    present = {row.question_id for row in kept}
    names = dict.fromkeys(category for question, category in categories.items() if question in present)
    parts = [_part(kept, turn, None, categories) for turn in turns]
    parts += [_part(kept, turn, category, categories) for turn in turns for category in names]
    rated = tuple(row for row in kept if not row.failed)
    return ModelScores(
        model=model,
        judge=judge,
        parts=tuple(parts),
        noise=judge_noise(rated),
        n_duplicates=len(rows) - len({_identity(row) for row in rows}),
        served_by=tuple(sorted({row.served_by for row in rows if row.served_by})),
        dates=days(rows),
        rated=rated,
    )


def _part(rows: Sequence[Judgment], turn: int | None, category: str | None, categories: Mapping[int, str]) -> Part:
    of_part = [
        row
        for row in rows
        if turn in (None, row.turn) and (category is None or categories.get(row.question_id) == category)
    ]
    rated = [row for row in of_part if not row.failed]
    score = pooled_mean([row.score for row in rated], [row.question_id for row in rated])
    return Part(turn, category, score, len(of_part) - len(rated))


def _identity(row: Judgment) -> tuple[str, str, int, int, int, int]:
    return row.model, row.judge[0], row.question_id, row.turn, row.sample, row.repeat


def _mean(rows: Sequence[Judgment]) -> Judgment:
    """The last row with the mean of the ratings; failed if all are."""
    rated = [row.score for row in rows if not row.failed]
    return rows[-1].model_copy(update={"score": fsum(rated) / len(rated) if rated else FAILED_SCORE})


def days(rows: Sequence[Judgment] | Sequence[PairJudgment]) -> tuple[str, ...]:
    """Days of judgments in UTC, in order; of those without a date as their time says."""
    found = set()
    for row in rows:
        if row.date:
            found.add(row.date)
        elif 0 < row.tstamp < 2**33:
            found.add(datetime.fromtimestamp(row.tstamp, timezone.utc).date().isoformat())
    return tuple(sorted(found))
