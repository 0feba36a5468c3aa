"""A board as rows of one shape, for programs: CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from pathlib import PurePath
from typing import Literal, get_args, get_type_hints

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
        head = judged(answered(bench, scored.model, settings), scored)
        for turn, category, score, failed in scored.parts:
            yield _measured(replace(head, turn=turn, category=category, failed=failed), score)
    for model, found in results.degeneration.items():
        head = answered(bench, model, settings)
        for measure, turn, category, estimate in found.parts:
            if estimate is not None:
                yield _measured(replace(head, quantity=measure, turn=turn, category=category), estimate)


def answered(bench: str, model: str, settings: Mapping[str, AnswerSettings]) -> BoardRow:
    """How a model's answers were made, as far as it is known."""
    row = BoardRow(origin="ours", bench=bench, model=model, quantity="score")
    made = settings.get(model)
    if made is None:
        return row
    decoding = made.decoding
    return replace(
        row,
        base=base_name(made),
        adapter=made.adapter,
        prompts=made.prompt_set or "chat",
        temperature=f"{decoding.temperature:g}" if isinstance(decoding.temperature, float) else decoding.temperature,
        top_p=decoding.top_p,
        top_k=decoding.top_k,
        min_p=decoding.min_p,
        repetition_penalty=decoding.repetition_penalty,
        penalty_scope=decoding.penalty_scope,
        frequency_penalty=decoding.frequency_penalty,
        presence_penalty=decoding.presence_penalty,
        max_new_tokens=decoding.max_new_tokens,
        samples=decoding.samples,
        seed=decoding.seed,
        clean_up=made.clean_up,
    )


def base_name(made: AnswerSettings) -> str:
    """A local directory is named by its last part: a path of this machine means nothing to the reader."""
    path = PurePath(made.model.base)
    return path.name if path.is_absolute() or path.name in ("", "..") else made.model.base


def judged(row: BoardRow, scored: ModelScores) -> BoardRow:
    """The row with who gave these scores."""
    repeats = Counter((rated.question_id, rated.turn, rated.sample) for rated in scored.rated)
    return replace(
        row,
        judge=scored.judge,
        served_by=" ".join(scored.served_by) or None,
        judge_prompts=" ".join(sorted({rated.judge[1] for rated in scored.rated})) or None,
        repeats=max(repeats.values(), default=None),
        first_judged=min(scored.dates, default=None),
        last_judged=max(scored.dates, default=None),
        duplicates=scored.n_duplicates,
    )


def to_csv(rows: Sequence[BoardRow]) -> str:
    """CSV with a header. Numbers in full precision; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(BoardRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def to_parquet(rows: Sequence[BoardRow]) -> bytes:
    """Parquet with the columns of the CSV, typed."""
    import pyarrow
    import pyarrow.parquet

    types = {int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema(
        (name, next((types[kind] for kind in get_args(hint) if kind in types), pyarrow.string()))
        for name, hint in get_type_hints(BoardRow).items()
    )
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows], schema=schema), sink)
    return bytes(sink.getvalue().to_pybytes())


def _measured(row: BoardRow, estimate: Estimate | None) -> BoardRow:
    if estimate is None:
        return replace(row, n=0, questions=0)
    value, lower, upper = (number if isfinite(number) else None for number in estimate[:3])
    return replace(row, value=value, lower=lower, upper=upper, n=estimate.n, questions=estimate.questions)
