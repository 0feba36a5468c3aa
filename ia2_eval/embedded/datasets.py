"""Rows of the synthetic benchmarks, generated from a seed: classification, and arithmetic in a format never trained on.

The `_noisy` sets have a fifth of the labels of their training split wrong, as hastily labelled data do; their test
split is right. No text of a training split occurs in its test split.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ia2_eval.embedded.curriculum import HELD_OUT_FORMAT
from ia2_eval.embedded.world import AXES, DIGITS, headlines, story, worked_answer

SEED = 20250926
TRAIN_ROWS = 600
TEST_ROWS = 200


@dataclass(frozen=True)
class EmbeddedDataset:
    """One synthetic data set. Arithmetic rows have `question` and `answer`, classification rows `text` and `label`."""

    name: str
    title: str
    axis: str | None = None
    """Axis of the headlines that is asked for; None for arithmetic."""
    values: tuple[str, ...] = ()
    """Values of the axis to tell apart, in label order."""
    noise: float = 0.0
    """Share of wrong labels in the training split."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        return tuple(DIGITS[: len(self.values)]) if self.axis else None

    def rows(self, split: str) -> list[dict[str, Any]]:
        """All rows of the `train` or the `test` split."""
        rng = np.random.default_rng([SEED, zlib.crc32(self.name.encode())])
        unique: dict[str, dict[str, Any]] = {}
        while len(unique) < TRAIN_ROWS + TEST_ROWS:
            for text, row in self._draw(rng, TRAIN_ROWS + TEST_ROWS - len(unique)):
                unique.setdefault(text, row)
        rows = list(unique.values())
        train, test = rows[:TRAIN_ROWS], rows[TRAIN_ROWS:]
        for row in train:
            if self.axis and rng.random() < self.noise:
                row["label"] = (row["label"] + int(rng.integers(1, len(self.values)))) % len(self.values)
        return {"train": train, "test": test}[split]

    def _draw(self, rng: np.random.Generator, count: int) -> list[tuple[str, dict[str, Any]]]:
        if self.axis is None:
            problems = [story(rng) for _ in range(count)]
            questions = ["".join(problem.tokens).strip() for problem in problems]
            answers = ["".join(worked_answer(problem, *HELD_OUT_FORMAT)) for problem in problems]
            return [(q, {"question": q, "answer": a}) for q, a in zip(questions, answers, strict=True)]
        drawn = headlines(rng, count, AXES[self.axis], list(self.values))
        texts = ["".join(tokens).strip() for tokens in drawn.tokens]
        return [(text, {"text": text, "label": int(label)}) for text, label in zip(texts, drawn.values, strict=True)]


def _classification(axis: str, title: str, *values: str) -> tuple[EmbeddedDataset, EmbeddedDataset]:
    values = values or tuple(AXES[axis].values)
    return (
        EmbeddedDataset(axis, title, axis, values),
        EmbeddedDataset(f"{axis}_noisy", f"{title} (noisy)", axis, values, noise=0.2),
    )


DATASETS: dict[str, EmbeddedDataset] = {
    dataset.name: dataset
    for dataset in (
        EmbeddedDataset("arithmetic", "Arithmetic"),
        *_classification("mood", "Mood"),
        *_classification("time", "Time"),
        *_classification("place", "Place"),
        *_classification("tense", "Tense"),
        *_classification("object", "Object", "food", "vehicle", "clothes", "music"),
        *_classification("action", "Action"),
    )
}
