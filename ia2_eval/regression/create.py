"""Makes a reference: runs a recipe with clean code, and keeps what a comparison needs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.experiments.provenance import changed_files, git_state
from ia2_eval.experiments.recipe import load_recipe
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.session import Overrides, run_recipe
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.leaderboard.results.read import Run, read_run
from ia2_eval.regression.machine import this_machine
from ia2_eval.regression.reference import COMMIT_LENGTH, MANIFEST, RECIPE, Manifest, Origin, RunSettings
from ia2_eval.scoring.samples import LabelSample

UNFINISHED = "unfinished.json"
"""The origin of the results of a reference that is being made."""


def create_reference(
    recipe: Path, out: Path, overrides: Overrides, settings: Settings, stored_seeds: int, console: Console
) -> int:
    """Run a recipe in `out` and make a reference of it; gives the exit status of the run. Interrupted, it continues.

    Args:
        recipe: path, or name of a shipped one.
        out: directory of the reference; its name is the reference's.
        overrides: of the recipe.
        settings: of the run.
        stored_seeds: adapters of how many seeds of each method are kept, to be evaluated again.
        console: for progress.

    Raises:
        UserError: the checkout has changes that are not committed, there is a reference already, what is there was
            made by other code, on another machine or with other settings, or see `run_recipe`.
    """
    if (out / MANIFEST).exists():
        raise UserError(f"{out} is a reference already: choose another --out, or delete it first")
    _refuse_changes("commit them, so that it can be named")
    origin = _origin(settings)
    _require_same_origin(out, origin)
    status = run_recipe(recipe, out, overrides, settings, console)
    if status:
        return status
    store = Store(out)
    run = read_run(out)
    _require_made_by(origin, run)
    seeds = sorted({record.cell.seed for record in run.records if record.cell.seed is not None})[:stored_seeds]
    stored = [record for record in run.records if record.cell.trained and record.cell.seed in seeds]
    _make_small(store, run, stored)
    _pin_base(store, run)
    manifest = Manifest(
        name=out.resolve().name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        git_commit=origin.git_commit,
        machine=this_machine(run.records[0].provenance.device),  # with the threads that the run chose
        settings=origin.settings,
        stored=tuple(record.key for record in stored),
    )
    write_atomically(out / MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
    (out / UNFINISHED).unlink(missing_ok=True)
    console.print(f"{out}: {len(run.records)} cells, {len(stored)} adapters, {_megabytes(out):.1f} MB", highlight=False)
    return 0


def _refuse_changes(advice: str) -> None:
    """
    Raises:
        UserError: code of the checkout is not as committed, or git cannot be asked.
    """
    try:
        changed = changed_files()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"git cannot tell whether the code has changes that are not committed: {error}") from error
    if changed:
        listed = ", ".join(changed[:3]) + (" ..." if changed[3:] else "")
        raise UserError(f"the code has changes that are not committed ({listed}): {advice}")


def _origin(settings: Settings) -> Origin:
    from ia2_eval.lm.base_model import best_device

    return Origin(
        git_commit=git_state()[0],
        machine=this_machine(settings.device or best_device()),
        settings=RunSettings(
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size,
            adapters_per_pass=settings.adapters_per_pass,
        ),
    )


def _require_same_origin(out: Path, origin: Origin) -> None:
    """Note where results come from, or see that those which are there come from the same code, machine and settings.

    Raises:
        UserError: they do not, or nobody knows.
    """
    path = out / UNFINISHED
    content = (origin.model_dump_json(indent=1) + "\n").encode()
    if path.exists():
        if path.read_bytes() != content:
            raise UserError(
                f"{out} was begun with other code, versions or settings, or on another machine ({path} says which): "
                "go on with those, or delete the directory"
            )
    elif (out / "records").exists() or (out / "adapters").exists():
        raise UserError(f"{out} has results that `reference create` did not make: choose another --out, or delete it")
    else:
        try:
            write_atomically(path, content)
        except OSError as error:
            raise UserError(f"cannot write to --out {str(out)!r}: {error}") from error


def _require_made_by(origin: Origin, run: Run) -> None:
    """
    Raises:
        UserError: the code was changed while it ran, or a record was made by other code.
    """
    _refuse_changes("they came while it ran. Undo them, and run the same command: what is done stays")
    others = [
        record.key
        for record in run.records
        if (record.provenance.git_commit, bool(record.provenance.git_dirty)) != (origin.git_commit, False)
        or record.provenance.versions != origin.machine.versions
        or record.provenance.device != run.records[0].provenance.device
    ]
    if others:
        files = ", ".join(f"records/{key}.json" for key in others[:3]) + (" ..." if others[3:] else "")
        raise UserError(
            f"{len(others)} of {len(run.records)} records of {run.directory} were made by other code or on another "
            f"device ({files}): delete the directory, and run the same command"
        )


def _make_small(store: Store, run: Run, stored: Sequence[Record]) -> None:
    """Leave what a comparison needs: the stored adapters, and samples without their ten likeliest tokens."""
    kept = {store.adapter_path(record.key) for record in stored}
    for adapter in (store.directory / "adapters").glob("*"):
        if adapter not in kept:
            shutil.rmtree(adapter)
    for record in stored:
        path = store.adapter_path(record.key) / "adapter_config.json"
        if not path.exists():  # a model with all weights trained
            continue
        config = json.loads(path.read_bytes())
        config["base_model_name_or_path"] = record.cell.base.model  # PEFT wrote where it lay on this machine
        write_atomically(path, (json.dumps(config, indent=1) + "\n").encode())
    for record in run.records:
        for evaluation in record.evaluations:
            rows = run.samples(evaluation)
            slim = [
                row.model_copy(update={"next_token": None}) if isinstance(row, LabelSample) else row for row in rows
            ]
            store.write_rows(evaluation.samples, slim)


def _pin_base(store: Store, run: Run) -> None:
    """Let the recipe ask for the very base model: by its fingerprint, which of a hub repository is the commit."""
    base = run.records[0].cell.base
    if len(base.fingerprint) == COMMIT_LENGTH:
        base = base.model_copy(update={"revision": base.fingerprint})
    recipe = load_recipe(store.directory / RECIPE)
    store.write_recipe(recipe.model_copy(update={"base": base}))


def _megabytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6
