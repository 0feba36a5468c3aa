"""The published numbers that ship in `leaderboards/published`, typed and checked."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ia2_eval import shipped
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen, one_line

Words = Annotated[tuple[str, ...], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value)]
"""Words with spaces between them; an empty field has none."""
Rating = Annotated[float, Field(ge=1, le=10)]
Labels = Literal["ground_truth", "icl_outputs"]
Remark = Literal[
    "judge_name_unverified",
    "no_repeat_ngram_3",
    "other_decoder",
    "other_references",
    "other_template",
    "penalty_not_applied",
    "read_from_image",
    "self_reported",
]

UNTRAINED = ("no_icl", "icl")
WITH_LABELS = ("sft", "ia2_sft")
"""Published methods that have a choice of labels; the others stand in the tables of both with the same numbers."""


class PublishedResult(Frozen):
    """A row of `ia2.csv`: an entry of a table of arXiv 2509.22621, as printed."""

    arxiv: str
    table: int
    base: str = Field(description="last part of the model's name")
    adapter: str = Field(description="as our label of it, without alpha where that is not told")
    labels: Labels = Field(description="of the table")
    N: int = Field(ge=1)
    source: str = Field(description="benchmark by its title, as eval")
    eval: str
    method: str
    n: int = Field(ge=1, description="evaluated examples")
    runs: int = Field(ge=1)
    acc: float = Field(ge=0, le=100, description="mean over runs, per cent")
    acc_std: float | None = Field(ge=0, le=50, description="population std over runs, per cent")
    ece: float | None = Field(ge=0, le=1)
    ece_std: float | None = Field(ge=0, le=0.5)
    inferred: Words = Field(description="columns that the table itself does not tell")

    @model_validator(mode="after")
    def _is_whole(self) -> PublishedResult:
        if (self.ece is None) != (self.ece_std is None):
            raise ValueError("ece and ece_std: one without the other")
        if (self.runs == 1) != (self.method == "no_icl"):
            raise ValueError(f"runs = {self.runs} of {self.method}: no_icl is one evaluation, all else several runs")
        if self.runs == 1 and self.acc_std is not None:
            raise ValueError("acc_std of a single evaluation")
        return self

    @property
    def variant(self) -> str:
        """As `Cell.variant`."""
        return "icl_outputs" if self.labels == "icl_outputs" and self.method in WITH_LABELS else ""


class PublishedScore(Frozen):
    """A row of `urial.csv`: MT-Bench scores of a model by single grading."""

    origin: Literal["urial_table", "urial_figure", "lmsys", "recomputed", "reported", "rerun"]
    model: str = Field(description="as the source calls it")
    base: str | None = Field(description="last part of the model's name on the hub, where it is known")
    prompts: Literal["urial", "chat", "fastchat_default"] | None
    temperature: float | Literal["per_category"] | None
    top_p: float | None = Field(gt=0, le=1)
    repetition_penalty: float | None = Field(gt=0)
    max_new_tokens: int | None = Field(ge=1)
    judge: str
    judged: str | None = Field(pattern=r"^\d{4}-\d\d(-\d\d)?$")
    average: Rating
    turn_1: Rating | None
    turn_2: Rating | None
    writing: Rating | None
    roleplay: Rating | None
    reasoning: Rating | None
    math: Rating | None
    coding: Rating | None
    extraction: Rating | None
    stem: Rating | None
    humanities: Rating | None
    n: int | None = Field(description="rated answers, each turn counted")
    source: str
    inferred: Words = Field(description="columns that the source does not tell")
    remarks: Annotated[tuple[Remark, ...], BeforeValidator(lambda value: value.split() if value else ())]


Row = TypeVar("Row", PublishedResult, PublishedScore)


def published_results() -> tuple[PublishedResult, ...]:
    """The tables of arXiv 2509.22621.

    Raises:
        UserError: the file is not as it was shipped.
    """
    return read_published(shipped.PUBLISHED_DIRECTORY / "ia2.csv", PublishedResult)


def published_scores() -> tuple[PublishedScore, ...]:
    """MT-Bench scores of URIAL and others.

    Raises:
        UserError: the file is not as it was shipped.
    """
    return read_published(shipped.PUBLISHED_DIRECTORY / "urial.csv", PublishedScore)


def read_published(path: Path, kind: type[Row]) -> tuple[Row, ...]:
    """
    Raises:
        UserError: the file is missing, or a line is not valid; it is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): install ia2-eval again, it ships with it"
        ) from error
    found = []
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            found.append(kind.model_validate({name: _value(name, value) for name, value in row.items()}))
        except ValidationError as error:
            raise UserError(f"{path}, line {number}: {one_line(error)}; the file is not as it was shipped") from error
    return tuple(found)


def _value(name: str | None, text: Any) -> Any:
    """An empty field is None, but in a list of words, which is empty then."""
    return text if text or name in ("inferred", "remarks") else None
