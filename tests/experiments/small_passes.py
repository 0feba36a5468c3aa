"""Passes of the embedded model, one after the other in one worker, without what a sweep adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ia2_eval.experiments.interruption import Interruption
from ia2_eval.experiments.passes import passes
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.run_pass import PassRunner
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import load, locate
from tests.experiments.small_runs import SmallRun, planned, told_to


def small_passes(recipe: Recipe, out: Path, attempts: Mapping[str, int] | None = None, **settings: Any) -> SmallRun:
    """Plan and run a recipe in this process, its passes in their order."""
    files = locate(recipe.base)
    done = SmallRun(Store(out))
    progress = replace(told_to(done), cell_finished=done.records.append)
    chosen = Settings(device="cpu", **settings)
    runner = PassRunner(files, load(files, "cpu"), done.store, chosen, progress, Interruption())
    for together in passes(planned(recipe, files.base), chosen.adapters_per_pass):
        runner.run(together, attempts or {})
    return done
