"""Invented rows in the hub's columns, for every data set that the twelve benchmarks read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def sst2(i: int) -> Row:
    return {"sentence": f"review {i} ", "label": i % 2, "idx": i}


def financial(i: int) -> Row:
    return {"sentence": f"result {i}", "label": i % 3}


def poem(i: int) -> Row:
    return {"id": i, "verse_text": f"verse {i}", "label": i % 4}


def strategy(i: int) -> Row:
    return {"question": f"is {i} even?", "answer": i % 2 == 0}


def ag_news(i: int) -> Row:
    return {"text": f"story {i}", "label": i % 4}


def bbc_news(i: int) -> Row:
    return {"text": f"opening words of item {i} and the end", "label": i % 5}


def sciq(i: int) -> Row:
    return {
        "question": f"question {i}?",
        **{f"distractor{k}": f"wrong {k} of {i}" for k in (1, 2, 3)},
        "correct_answer": f"right {i}",
        "support": "" if i % 5 == 0 else f"passage {i}",
    }


def qasc(i: int) -> Row:
    return {
        "question": f"question {i}?",
        "choices": {"text": [f"option {k} of {i}" for k in range(8)], "label": list("ABCDEFGH")},
        "answerKey": "ABCDEFGH"[i % 8],
    }


def gsm8k(i: int) -> Row:
    return {"question": f"what is {i} + 1?", "answer": f"It is {i} + 1.\n#### {i + 1}"}


def math(i: int) -> Row:
    return {"problem": f"find ${i}$", "level": "Level 1", "type": "Algebra", "solution": f"so\n\n$\\boxed{{{i}}}$"}


DATA_SETS: dict[str, tuple[Callable[[int], Row], dict[str, int]]] = {
    "sst2": (sst2, {"train": 90, "validation": 30}),
    "financial_phrasebank": (financial, {"train": 900}),
    "poem_sentiment": (poem, {"train": 60}),
    "strategyqa": (strategy, {"test": 580}),
    "ag_news": (ag_news, {"train": 320, "test": 30}),
    "bbc_news": (bbc_news, {"test": 30}),
    "sciq": (sciq, {"train": 90, "validation": 30}),
    "qasc": (qasc, {"validation": 30}),
    "gsm8k": (gsm8k, {"train": 90, "test": 30}),
    "gsm_symbolic": (gsm8k, {"test": 30}),
    "hendrycks_math_algebra": (math, {"train": 90, "test": 30}),
}
"""Folder -> what makes its row `i`, and the rows of each split of the hub. No row of one split is in another."""


def write_hub_rows(directory: Path) -> Path:
    """A local data directory with every data set in `DATA_SETS`."""
    for folder, (row, splits) in DATA_SETS.items():
        first = 0
        for split, count in splits.items():
            write_rows(directory / folder / f"{split}.jsonl", [row(i) for i in range(first, first + count)])
            first += count
    return directory


def write_rows(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
