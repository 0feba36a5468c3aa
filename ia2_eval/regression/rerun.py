"""Runs a reference's recipe again: with its stored adapters, and from the base model on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ia2_eval.commands import quieten
from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.plan import load_data, plan
from ia2_eval.experiments.recipe import load_recipe
from ia2_eval.experiments.run import run
from ia2_eval.experiments.session import Overrides
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.watch import watch
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.lm.base_model import Base, BaseFiles, locate
from ia2_eval.regression.gate import Reruns
from ia2_eval.regression.reference import COMMIT_LENGTH, Reference, identity


def rerun(reference: Reference, out: Path, base: str | None, settings: Settings, console: Console) -> Reruns:
    """What the code of today makes of the reference's recipe.

    Args:
        reference: what to run again.
        out: directory to write to; its folders `stored` and `retrained` are runs.
        base: where the base model is now, if it was moved.
        settings: with the batch sizes of the reference, for they change rounding.
        console: for progress.

    Raises:
        UserError: the recipe, its data or its model cannot be used, or the model is another one.
    """
    recipe = Overrides(base).apply(load_recipe(reference.recipe_path))
    files = locate(recipe.base)
    _require_same_base(files.base, reference)
    try:
        cells = plan(recipe, files.base, load_data(recipe, settings.data_dir))
    except UserError as error:
        raise UserError(f"{reference.recipe_path}: {error}") from error
    quieten()
    stored = _adapters(reference, cells, Store(out / "stored"))
    if stored:
        _run("stored adapters", stored, files, Store(out / "stored"), settings, console)
    _run("from the base model on", cells, files, Store(out / "retrained"), settings, console)
    return Reruns(read_run(out / "stored") if stored else None, read_run(out / "retrained"))


def _require_same_base(base: Base, reference: Reference) -> None:
    """
    Raises:
        UserError: the base is another model than the reference's: nothing could be told.
    """
    expected = reference.run.records[0].cell.base.fingerprint
    if base.fingerprint == expected:
        return
    reason = f"the base model {base.model!r} has the fingerprint {base.fingerprint!r}, the reference's has {expected!r}"
    if len(expected) == COMMIT_LENGTH:
        reason += ", a commit of the hub: leave --base out, with the model in the hub's cache"
    raise UserError(reason)


def _adapters(reference: Reference, cells: Sequence[Cell], store: Store) -> list[Cell]:
    """The cells whose adapters the reference has, which are put in the store: they count as trained then."""
    keys = {identity(r.cell): r.key for r in reference.run.records if r.key in reference.manifest.stored}
    found = [cell for cell in cells if identity(cell) in keys]
    for cell in found:
        source = Store(reference.directory).adapter_path(keys[identity(cell)])
        shutil.copytree(source, store.adapter_path(cell.key))
    return found


def _run(what: str, cells: list[Cell], files: BaseFiles, store: Store, settings: Settings, console: Console) -> None:
    console.print(f"{what}: {len(cells)} cells", highlight=False)
    store.write_plan(cells)
    with watch(len(cells), 0, console) as progress:
        run(cells, files, store, settings, progress)
