"""Runs of the embedded model that take a second or two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.plan import load_data, plan
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.run import run
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import Base, locate

LIMIT = 12
SAMPLED = {"agreement": {"samples": 3, "temperature": 2.0}}
ALL_METHODS = ("no_icl", "icl", "sft", "ia2", "ia2_sft")


def small_recipe(**changes: Any) -> Recipe:
    """One classification benchmark with four examples, all methods, a few steps."""
    content: dict[str, Any] = {
        "name": "small",
        "base": {"model": "embedded"},
        "benchmarks": [{"source": "embedded_mood", "n": 4}],
        "seeds": [0],
        "methods": ALL_METHODS,
        "learning_rates": [1e-2],
        "epochs": 4,
        "limit": LIMIT,
    }
    return Recipe.model_validate(content | changes)


def planned(recipe: Recipe, base: Base, data_dir: Path | None = None) -> list[Cell]:
    """The cells of a recipe."""
    return plan(recipe, base, load_data(recipe, data_dir))


@dataclass
class SmallRun:
    """What a run did and left behind."""

    store: Store
    records: list[Record] = field(default_factory=list)
    started: list[Cell] = field(default_factory=list)
    """Evaluated, or failed before."""
    trained: list[list[Cell]] = field(default_factory=list)
    """Cells of each attempt to train."""
    together_failed: list[list[Cell]] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    halved: list[tuple[str, int]] = field(default_factory=list)
    """For what memory did not suffice, and how many examples it was done with then."""

    def record(self, method: str, source: str = "embedded_mood", seed: int | None = None, variant: str = "") -> Record:
        (found,) = (
            r
            for r in self.records
            if (r.cell.method, r.cell.variant, r.cell.source) == (method, variant, source)
            and seed in (None, r.cell.seed)
        )
        return found

    def samples(self, record: Record, number: int = 0) -> list[dict[str, Any]]:
        path = self.store.directory / record.evaluations[number].samples
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def adapter(self, record: Record) -> bytes:
        return (self.store.adapter_path(record.key) / "adapter_model.safetensors").read_bytes()


def told_to(done: SmallRun) -> Progress:
    """Callbacks that keep what they are told, finished cells apart."""
    return Progress(
        training_started=lambda cells: done.trained.append(list(cells)),
        training=lambda check: None,
        together_failed=lambda cells, error: done.together_failed.append(list(cells)),
        cell_started=done.started.append,
        cell_finished=lambda record: None,
        damaged=lambda path, reason: done.damaged.append(path),
        halved=lambda what, most: done.halved.append((what, most)),
    )


def small_run(recipe: Recipe, out: Path, data_dir: Path | None = None, **settings: Any) -> SmallRun:
    """Plan and run a recipe in this process."""
    files = locate(recipe.base)
    done = SmallRun(Store(out))
    cells = planned(recipe, files.base, data_dir)
    done.store.write_plan(cells)
    done.records = run(cells, files, done.store, Settings(data_dir, device="cpu", **settings), told_to(done))
    return done


def results(records: Sequence[Record]) -> dict[str, Any]:
    """What must not differ between two runs of the same cells."""
    return {record.key: (record.status, record.training, record.evaluations) for record in records}


EMBEDDED = Base(model="embedded")
