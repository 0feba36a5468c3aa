"""Passes of the embedded model, one after the other in one worker, without what a sweep adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ia2_eval.experiments.interruption import Interruption
from ia2_eval.experiments.passes import passes
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.run_pass import PassRunner
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import load, locate
from tests.experiments.small_runs import SmallRun, planned


def small_passes(recipe: Recipe, out: Path, attempts: Mapping[str, int] | None = None, **settings: Any) -> SmallRun:
    """Plan and run a recipe in this process, its passes in their order."""
    files = locate(recipe.base)
    done = SmallRun(Store(out))
    progress = Progress(
        training_started=lambda cells: done.trained.append(list(cells)),
        training=lambda check: None,
        together_failed=lambda cells, error: done.together_failed.append(list(cells)),
        cell_started=done.started.append,
        cell_finished=done.records.append,
        damaged=lambda path, reason: done.damaged.append(path),
        halved=lambda what, most: done.halved.append((what, most)),
    )
    chosen = Settings(device="cpu", **settings)
    runner = PassRunner(files, load(files, "cpu"), done.store, chosen, progress, Interruption())
    for together in passes(planned(recipe, files.base), chosen.adapters_per_pass):
        runner.run(together, attempts or {})
    return done
