"""Reference results: a run's directory, made small, with a manifest of what they were made with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.store import Store
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.leaderboard.results.read import Run, read_run
from ia2_eval.regression.machine import Machine
from ia2_eval.shipped import REFERENCE_DIRECTORY

MANIFEST = "reference.json"
RECIPE = "recipe.yaml"
COMMIT_LENGTH = 40
"""Of the fingerprint of a hub repository; that of a local directory, a sha256, has 64 digits."""


class RunSettings(Frozen):
    """What changes rounding and nothing else: the gate repeats it."""

    batch_size: int
    micro_batch_size: int | None
    adapters_per_pass: int


class Origin(Frozen):
    """What all results of a reference have in common."""

    git_commit: str | None = Field(description="of this package's checkout, which was clean; None: it was installed")
    machine: Machine
    settings: RunSettings


class Manifest(Origin):
    """`reference.json`. It is written last: a directory that has it is complete."""

    schema_version: Literal[1] = 1
    name: str
    created: str = Field(description="UTC, ISO 8601")
    stored: tuple[str, ...] = Field(description="keys of the cells whose adapters are here, to be evaluated again")


@dataclass(frozen=True)
class Reference:
    """`recipe.yaml`, `records/`, `samples/` and some of `adapters/`, as `ia2-eval run` writes them, and a manifest."""

    directory: Path
    manifest: Manifest

    @property
    def recipe_path(self) -> Path:
        return self.directory / RECIPE

    @cached_property
    def run(self) -> Run:
        """
        Raises:
            UserError: a record, the plan or a stored adapter cannot be used; each is named.
        """
        run = read_run(self.directory)
        # An adapter that cannot be used would be trained anew, and be taken for the stored one.
        store = Store(self.directory)
        unusable = [
            f"{store.relative(store.adapter_path(key))}: no usable adapter (is it a pointer of Git LFS?)"
            for key in self.manifest.stored
            if store.training(key) is None
        ]
        if faults := [*run.faults, *unusable]:
            raise UserError("\n  ".join([f"the reference {self.directory} is damaged:", *faults]))
        return run


def load_reference(given: Path | None) -> Reference:
    """A reference by its directory, or a shipped one by its name.

    Args:
        given: None for the only one that is shipped.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    directory = _find(given)
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError(
            f"{str(directory)!r} has no {MANIFEST}, so it is no reference, or one that was not finished: make one "
            f"with `ia2-eval reference create RECIPE --out {directory}`"
        )
    try:
        return Reference(directory, Manifest.model_validate_json(path.read_bytes()))
    except ValueError as error:
        raise UserError(f"{path}: {one_line(error)}") from error


def _find(given: Path | None) -> Path:
    shipped = {path.parent.name: path.parent for path in sorted(REFERENCE_DIRECTORY.glob(f"*/{MANIFEST}"))}
    if given is None:
        if len(shipped) == 1:
            return next(iter(shipped.values()))
        raise UserError(f"which reference? Give a directory, or a name: {', '.join(shipped) or 'none is shipped'}")
    if given.is_dir():
        return given
    if given.parent == Path() and given.name in shipped:
        return shipped[given.name]
    raise UserError(
        f"there is no reference {str(given)!r}: no such directory, and no shipped reference of that name."
        f"{did_you_mean(given.name, shipped)}"
    )


def identity(cell: Cell) -> str:
    """Names what a cell is meant to be, whatever became of its benchmark's data, its base or its making.

    Two cells with the same identity and other keys are the same experiment on other data or another base.
    """
    base = cell.base.model_copy(update={"model": "", "revision": None, "fingerprint": ""})
    return cell.model_copy(update={"version": 0, "data": "", "base": base}).key
