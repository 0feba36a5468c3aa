"""Invented answers to the trial bench, and quick settings of a judge."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.layout import Layout

WORDS = "one two three {braces} ```code``` {{0}} naïve 字 [[3]] \\n # % tea rain over under never often".split()


def invented_answer(model: str, question: int, turns: int, samples: int = 1) -> dict[str, Any]:
    """A row of FastChat's; the same for the same arguments."""
    choices = []
    for sample in range(samples):
        chance = random.Random(f"{model} {question} {sample}")
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(3, 40))) + f" {chance.random()}" for _ in range(turns)]
        choices.append({"index": sample, "turns": texts})
    return {"question_id": question, "answer_id": "a", "model_id": model, "choices": choices, "tstamp": 1.0}


def write_answers(
    directory: Path, bench: Bench, models: Sequence[str], samples: int = 1, questions: int | None = None
) -> Layout:
    """Of each model to the first questions; None: to all."""
    layout = Layout(directory)
    layout.answers_directory.mkdir(parents=True, exist_ok=True)
    for model in models:
        rows = [
            invented_answer(model, question.question_id, len(question.turns), samples)
            for question in bench.questions[:questions]
        ]
        layout.answers(model).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return layout


def quick(url: str | None, **changes: Any) -> JudgeSettings:
    """Settings that lose no time."""
    given = {"model": "judge", "base_url": url, "timeout": 10.0, "backoff": 0.0005, "cache": None, **changes}
    return JudgeSettings(**given)


def quiet() -> Console:
    """A console that keeps what it is told."""
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows_of(path: Path, *without: str) -> list[dict[str, Any]]:
    """The rows of a file, without what no two runs have in common."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in ("tstamp", "date", *without)} for row in rows]
