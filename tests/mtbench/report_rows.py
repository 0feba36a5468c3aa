"""Judgments, answers and sweeps made by hand, for the tests of reports."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from ia2_eval.mtbench.answers import Choice, ModelAnswer
from ia2_eval.mtbench.generation.answer_settings import AnswerSettings, ModelSettings
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.judging.judgments import Judgment, PairJudgment, Winner
from ia2_eval.mtbench.layout import Layout

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "mt_bench"


def rated(
    question: int,
    turn: int,
    score: float,
    *,
    model: str = "m",
    judge: str = "gpt-4",
    sample: int = 0,
    repeat: int = 0,
    served_by: str | None = None,
    date: str | None = None,
    tstamp: float = 0.0,
) -> Judgment:
    return Judgment(
        question_id=question,
        model=model,
        judge=(judge, "single-v1"),
        judgment="",
        score=score,
        turn=turn,
        tstamp=tstamp,
        sample=sample,
        repeat=repeat,
        served_by=served_by,
        date=date,
    )


def match(
    question: int, g1: Winner, g2: Winner, *, turn: int = 1, models: tuple[str, str] = ("a", "b")
) -> PairJudgment:
    return PairJudgment(
        question_id=question,
        model_1=models[0],
        model_2=models[1],
        g1_winner=g1,
        g2_winner=g2,
        judge=("gpt-4", "pair-v2"),
        g1_judgment="",
        g2_judgment="",
        turn=turn,
        tstamp=0.0,
    )


def answer(question: int, turns: Sequence[str], *, tokens: Sequence[int | None] = (), model: str = "m") -> ModelAnswer:
    truncated = tuple(None if count is None else count >= 100 for count in tokens)
    choice = Choice(index=0, turns=tuple(turns), tokens=tuple(tokens), truncated=truncated)
    return ModelAnswer(question_id=question, model_id=model, choices=(choice,))


def write_rows(path: Path, rows: Iterable[BaseModel]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    return path


def write_sweep(
    directory: Path, decodings: Iterable[DecodingSettings], questions: Sequence[int], judged: bool = True
) -> list[str]:
    """Answers and settings of each decoding, and judgments of all; the model ids."""
    layout, rng, judgments, models = Layout(directory), random.Random(0), [], []
    for decoding in decodings:
        model = f"base_{decoding.name}"
        models.append(model)
        settings = AnswerSettings(
            model=ModelSettings(), fingerprint="", prompt_set="urial", prompt_sha256="", decoding=decoding
        )
        layout.settings(model).parent.mkdir(parents=True, exist_ok=True)
        layout.settings(model).write_text(settings.model_dump_json())
        said = "one two three four " * rng.randint(1, 5)
        write_rows(
            layout.answers(model), [answer(id, (said, "short"), tokens=(100, 1), model=model) for id in questions]
        )
        judgments += [rated(id, turn, rng.randint(3, 8), model=model) for id in questions for turn in (1, 2)]
    if judged:
        write_rows(layout.judgments("gpt-4", "single"), judgments)
    return models
