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
from ia2_eval.experiments.provenance import git_state
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.session import Overrides, run_recipe
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.leaderboard.results.read import Run, read_run
from ia2_eval.regression.machine import this_machine
from ia2_eval.regression.reference import MANIFEST, Manifest, RunSettings
from ia2_eval.scoring.samples import LabelSample

CHECKOUT = Path(__file__).parents[2]
NOT_CODE = ("leaderboards", "docs", "runs")
"""Folders of the checkout that change no result."""


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
        UserError: the checkout has changes that are not committed, there is a reference already, or see `run_recipe`.
    """
    if (out / MANIFEST).exists():
        raise UserError(f"{out} is a reference already: choose another --out, or delete it first")
    if changed := changed_files():
        listed = ", ".join(changed[:3]) + (" ..." if changed[3:] else "")
        raise UserError(f"the code has changes that are not committed ({listed}): commit them, so that it can be named")
    status = run_recipe(recipe, out, overrides, settings, console)
    if status:
        return status
    store = Store(out)
    run = read_run(out)
    seeds = sorted({record.cell.seed for record in run.records if record.cell.seed is not None})[:stored_seeds]
    stored = [record for record in run.records if record.cell.trained and record.cell.seed in seeds]
    _make_small(store, run, stored)
    manifest = Manifest(
        name=out.resolve().name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        git_commit=git_state()[0],
        machine=this_machine(run.records[0].provenance.device),
        settings=RunSettings(
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size,
            adapters_per_pass=settings.adapters_per_pass,
        ),
        stored=tuple(record.key for record in stored),
    )
    write_atomically(out / MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
    console.print(f"{out}: {len(run.records)} cells, {len(stored)} adapters, {_megabytes(out):.1f} MB", highlight=False)
    return 0


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
    (store.directory / ".lock").unlink(missing_ok=True)


def changed_files() -> list[str]:
    """Files of this package's checkout that are not as committed; none for an installed package.

    Raises:
        UserError: git cannot be asked.
    """
    if not (CHECKOUT / ".git").exists():
        return []
    command = ["git", "-C", str(CHECKOUT), "status", "--porcelain", "--", "."]
    try:
        lines = subprocess.run(
            [*command, *(f":!{folder}" for folder in NOT_CODE)], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"cannot tell whether {CHECKOUT} has changes that are not committed: {error}") from error
    return [line[3:] for line in lines]


def _megabytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6
