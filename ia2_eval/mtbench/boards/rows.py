"""A board as rows of one shape, for programs: CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import PurePath
from typing import Literal, get_type_hints

from ia2_eval.mtbench.generation.answer_settings import AnswerSettings
from ia2_eval.mtbench.reports.estimates import Estimate
from ia2_eval.mtbench.reports.results import Results
from ia2_eval.mtbench.reports.scores import ModelScores


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """One number. None is an empty field: it does not apply, or is not known."""

    origin: Literal["ours", "published"]
    bench: str
    judge: str | None = None  # None for measures that need none
    served_by: str | None = None  # the judge's names as the endpoint returned them
    judge_prompts: str | None = None
    repeats: int | None = None  # judgments of one answer at most
    first_judged: str | None = None
    last_judged: str | None = None
    model: str
    base: str | None = None
    adapter: str | None = None  # sha256
    prompts: str | None = None  # prompt set; `chat`: the model's template
    temperature: str | None = None  # a number, or `per_category`
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    penalty_scope: str | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_new_tokens: int | None = None
    samples: int | None = None
    seed: int | None = None
    clean_up: str | None = None
    quantity: str  # `score`, or a measure of degeneration
    turn: int | None = None  # None: all turns
    category: str | None = None  # None: all categories
    value: float | None = None  # None: nothing is rated
    lower: float | None = None  # of the 95 % interval
    upper: float | None = None
    n: int | None = None  # rows averaged
    questions: int | None = None
    failed: int | None = None  # judgments without a rating; they are not in n
    duplicates: int | None = None  # of the model's judgments by this judge
    source: str | None = None  # of a published number
    inferred: str | None = None  # what of it the source does not tell
    remarks: str | None = None


def board_rows(bench: str, results: Results, settings: Mapping[str, AnswerSettings]) -> Iterator[BoardRow]:
    """Scores by each judge, then measures of degeneration."""
    for scored in results.scored:
        made = how_made(settings.get(scored.model))
        judged = how_judged(scored)
        for turn, category, score, failed in scored.parts:
            yield BoardRow(
                origin="ours",
                bench=bench,
                model=scored.model,
                quantity="score",
                turn=turn,
                category=category,
                failed=failed,
                duplicates=scored.n_duplicates,
                **judged,  # type: ignore[arg-type]
                **made,  # type: ignore[arg-type]
                **_estimate(score),  # type: ignore[arg-type]
            )
    for model, found in results.degeneration.items():
        made = how_made(settings.get(model))
        for measure, turn, category, estimate in found.parts:
            if estimate is not None:
                yield BoardRow(
                    origin="ours",
                    bench=bench,
                    model=model,
                    quantity=measure,
                    turn=turn,
                    category=category,
                    **made,  # type: ignore[arg-type]
                    **_estimate(estimate),  # type: ignore[arg-type]
                )


def how_judged(scored: ModelScores) -> dict[str, str | int | None]:
    """Who gave these scores."""
    prompts = sorted({row.judge[1] for row in scored.rated})
    repeats = Counter((row.question_id, row.turn, row.sample) for row in scored.rated)
    return {
        "judge": scored.judge,
        "served_by": " ".join(scored.served_by) or None,
        "judge_prompts": " ".join(prompts) or None,
        "repeats": max(repeats.values(), default=None),
        "first_judged": min(scored.dates, default=None),
        "last_judged": max(scored.dates, default=None),
    }
