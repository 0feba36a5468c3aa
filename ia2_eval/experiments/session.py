"""What `ia2-eval run` does: recipe -> plan -> run, shown on a console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from ia2_eval.benchmarks import BenchmarkData
from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.engines.choice import Chosen, EngineChoice, choose, gpus, require_sensible
from ia2_eval.experiments.engines.drive import drive
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.faults import DeviceLostError, no_cells_faults
from ia2_eval.experiments.lockstep import follow, leading, leads, refuse_workers, require_fit
from ia2_eval.experiments.ownership.processes import process_id
from ia2_eval.experiments.plan import load_data, plan
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.recipe import Recipe, load_recipe
from ia2_eval.experiments.recipe_faults import faults_for_model
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.run import run
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.watch import print_data_notes, print_plan, watch
from ia2_eval.lm.base_model import Base, BaseFiles, locate
from ia2_eval.lm.sharded import join
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
    path: Path,
    out: Path,
    overrides: Overrides,
    settings: Settings,
    console: Console,
    choice: EngineChoice = EngineChoice(workers=1),  # noqa: B008 - immutable
    retry_failed: bool = False,
) -> int:
    """Run a recipe; gives the exit status: 0 when every cell is done, 1 when some failed, 130 when interrupted.

    Raises:
        UserError: the recipe, its data, its model or the workers it asks for cannot be had; nothing has been run.
    """
    settings = replace(settings, device=join(settings.device))
    chosen = choose(choice, settings)
    if chosen.engine is not None:
        refuse_workers()
        chosen.engine.warm_up(chosen.workers)
    planned = plan_recipe(path, out, overrides, settings)
    require_fit(planned.cells)
    if not leads():
        quieten()
        follow(planned.files, out, settings)
        return 0
    store = Store(out)
    with no_cells_faults(out):
        before = {cell.key: record for cell in planned.cells if (record := store.record(cell.key))}
    print_plan(planned.cells, sum(record.status == "ok" for record in before.values()), console)
    print_data_notes(planned.data, console)
    try:
        store.write_recipe(planned.recipe)
        store.write_plan(planned.cells)
        failed = [record for record in before.values() if record.status == "failed"]
        again = [record for record in failed if record.transient or retry_failed]
        for record in again:
            if store.record(record.key) == record:  # another driver may have set it aside, and run the cell again
                with suppress(FileNotFoundError):
                    store.set_aside(record)
    except OSError as error:
        raise UserError(f"cannot write to --out {str(out)!r}: {error}") from error
    finally:
        store.clear_partial(process_id())
    done = len(before) - len(again)
    quieten()
    try:
        with no_cells_faults(out):
            with watch(len(planned.cells), done, console) as progress, leading():
                records = _run(planned, store, chosen, progress)
            store.write_plan(planned.cells)  # once more: a driver of another recipe may have written at the same moment
    except KeyboardInterrupt:
        finished = sum(store.done(cell) is not None for cell in planned.cells)
        console.print(
            f"interrupted: {finished} of {len(planned.cells)} cells are done; the same command continues",
            highlight=False,
        )
        return INTERRUPTED
    except DeviceLostError as error:
        raise UserError(f"{error}. The same command continues in a new process") from error
    finally:
        store.clear_partial(process_id())
    console.print(f"{len(records)} cells in {out}", highlight=False)
    return _conclude(records, out, console)


def _run(planned: Planned, store: Store, chosen: Chosen, progress: Progress) -> list[Record]:
    if chosen.engine is None:
        return run(planned.cells, planned.files, store, chosen.settings, progress)
    base = planned.files.base
    sweep = Sweep(
        cells=tuple(planned.cells), base=base, out=store.directory, settings=chosen.settings, workers=chosen.workers
    )
    return drive(sweep.from_anywhere(), chosen.engine, progress)


def _conclude(records: Sequence[Record], out: Path, console: Console) -> int:
    failed = [record for record in records if record.status == "failed"]
    if not failed:
        return 0
    for_good = sum(not record.transient for record in failed)
    again = " with --retry-failed" if for_good else ""
    console.print(
        f"{len(failed)} of {len(records)} cells failed; `ia2-eval status {out}` says why. Run the command again{again} "
        "to try them once more",
        style="red",
        highlight=False,
    )
    return 1


@dataclass(frozen=True)
class Planned:
    """What a recipe stands for on this machine."""

    recipe: Recipe
    files: BaseFiles
    data: dict[str, BenchmarkData]
    cells: list[Cell]


def plan_recipe(path: Path, out: Path, overrides: Overrides, settings: Settings, weights: bool = True) -> Planned:
    """Read a recipe, find its model and data, and plan its cells.

    Args:
        path: of the recipe, or the name of a shipped one.
        out: directory for the results, not written to.
        overrides: what the command line changes.
        settings: where data are.
        weights: False to leave a hub repository's weights where they are.

    Raises:
        UserError: the recipe, its data or its model cannot be used, or `out` is a file.
    """
    path = find_recipe(path)
    recipe = overrides.apply(load_recipe(path))
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; give a directory")
    files = locate(recipe.base, weights)
    try:
        data = load_data(recipe, settings.data_dir)
        _refuse_unfit(recipe, files)
        return Planned(recipe, files, data, plan(recipe, files.base, data))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def dry_run(
    path: Path, out: Path, overrides: Overrides, settings: Settings, console: Console, choice: EngineChoice
) -> int:
    """Show what a recipe would run, and what that would cost; gives the exit status.

    Raises:
        UserError: the recipe, its data or its model cannot be used.
    """
    from ia2_eval.experiments.cost.estimate import estimate
    from ia2_eval.experiments.cost.show import print_estimate

    require_sensible(choice, settings)
    planned = plan_recipe(path, out, overrides, settings, weights=False)
    store = Store(out)
    done = {cell.key for cell in planned.cells if store.done(cell)}
    print_plan(planned.cells, len(done), console)
    print_data_notes(planned.data, console)
    with console.status("measuring on this machine, for half a minute or so"):
        found = estimate(planned.cells, done, planned.files, settings, _numbers_of_workers(choice))
    print_estimate(found, console)
    return 0


def _numbers_of_workers(choice: EngineChoice) -> list[int]:
    """What to tell the time for: the number asked for, beside what is often there."""
    usual = (1, 8, 64) if gpus() else (1, 2)
    return sorted({*usual, choice.workers or 1})


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
