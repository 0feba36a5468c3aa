"""What `ia2-eval run` does: recipe -> plan -> run, shown on a console."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.plan import load_data, plan
from ia2_eval.experiments.recipe import Recipe, load_recipe
from ia2_eval.experiments.recipe_faults import faults_for_model
from ia2_eval.experiments.run import run
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.watch import print_data_notes, print_plan, watch
from ia2_eval.lm.base_model import Base, BaseFiles, locate, require_device
from ia2_eval.shipped import RECIPES_DIRECTORY


@dataclass(frozen=True)
class Overrides:
    """What the command line changes in a recipe."""

    base: str | None = None
    limit: int | None = None

    def apply(self, recipe: Recipe) -> Recipe:
        changes: dict[str, object] = {}
        if self.base is not None and self.base != recipe.base.model:
            # The recipe's revision belongs to the recipe's model.
            dtype = "float32" if self.base == "embedded" else recipe.base.dtype
            changes["base"] = Base(model=self.base, dtype=dtype)
        if self.limit is not None:
            changes["limit"] = self.limit
        return recipe.model_copy(update=changes)


def run_recipe(
    path: Path, out: Path, overrides: Overrides, settings: Settings, console: Console, dry_run: bool = False
) -> int:
    """Run a recipe; gives the exit status: 0 when every cell is done, 1 when some failed, 130 when interrupted.

    Raises:
        UserError: the recipe, its data or its model cannot be used; nothing has been run.
    """
    path = find_recipe(path)
    recipe = overrides.apply(load_recipe(path))
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; give a directory")
    if settings.device is not None and not dry_run:
        require_device(settings.device)
    files = locate(recipe.base, weights=not dry_run)
    try:
        data = load_data(recipe, settings.data_dir)
        _refuse_unfit(recipe, files)
        cells = plan(recipe, files.base, data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    store = Store(out)
    done = sum(store.done(cell) is not None for cell in cells)
    print_plan(cells, done, console)
    print_data_notes(data, console)
    if dry_run:
        return 0
    try:
        store.write_recipe(recipe)
        store.write_plan(cells)
    except OSError as error:
        raise UserError(f"cannot write to --out {str(out)!r}: {error}") from error
    quieten()
    try:
        with watch(len(cells), done, console) as progress:
            records = run(cells, files, store, settings, progress)
    except KeyboardInterrupt:
        finished = sum(store.done(cell) is not None for cell in cells)
        console.print(
            f"interrupted: {finished} of {len(cells)} cells are done; the same command continues", highlight=False
        )
        return INTERRUPTED
    console.print(f"{len(records)} cells in {out}", highlight=False)
    failed = sum(record.status == "failed" for record in records)
    if failed:
        console.print(
            f"{failed} of {len(cells)} cells failed: see the tracebacks in {out / 'records'}; the same command retries",
            style="red",
            highlight=False,
        )
    return 1 if failed else 0


def _refuse_unfit(recipe: Recipe, files: BaseFiles) -> None:
    """
    Raises:
        UserError: the recipe asks for what the model does not have, by its config.json; all of it is listed.
    """
    config = files.directory / "config.json"
    try:
        content = json.loads(config.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{str(config)!r} cannot be read: {error}") from error
    if faults := list(faults_for_model(recipe, content)):
        raise UserError("\n  ".join([f"does not fit the model {recipe.base.model!r}:", *faults]))


def find_recipe(recipe: Path) -> Path:
    """A recipe by path, or a shipped one by its name."""
    if recipe.is_file():
        return recipe
    shipped = RECIPES_DIRECTORY / f"{recipe.name.removesuffix('.yaml')}.yaml"
    if recipe.parent == Path() and shipped.is_file():
        return shipped
    names = sorted(path.stem for path in RECIPES_DIRECTORY.glob("*.yaml"))
    raise UserError(
        f"there is no recipe {str(recipe)!r}: no such file, and no shipped recipe of that name."
        f"{did_you_mean(recipe.stem, names)}"
    )
