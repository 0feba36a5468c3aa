"""Recipes of MT-Bench runs: files of the user's own, or shipped ones."""

from __future__ import annotations

from pathlib import Path

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.shipped import RECIPES_DIRECTORY

SHIPPED = RECIPES_DIRECTORY / "mtbench"


def find_recipe(path: Path) -> Path:
    """The file itself, or the shipped recipe of that name.

    Raises:
        UserError: there is neither.
    """
    if path.is_file():
        return path
    shipped = SHIPPED / f"{path}.yaml"
    if len(path.parts) == 1 and shipped.is_file():
        return shipped
    known = sorted(each.stem for each in SHIPPED.glob("*.yaml"))
    raise UserError(f"there is no recipe {str(path)!r}.{did_you_mean(str(path), known)}")
