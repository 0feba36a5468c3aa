"""Reads the recipes of MT-Bench runs: YAML files, all faults of which are listed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.recipe_faults import describe_fault
from ia2_eval.shipped import RECIPES_DIRECTORY

Kind = TypeVar("Kind", bound=BaseModel)

SHIPPED = RECIPES_DIRECTORY / "mtbench"


def read_recipe(path: Path, kind: type[Kind], parts: Mapping[str, type[BaseModel]]) -> Kind:
    """
    Args:
        path: of a YAML file, or the name of a shipped recipe.
        kind: what the recipe is.
        parts: what its keys hold, by their names, for messages.

    Raises:
        UserError: there is no such file, it is no YAML, or it has faults; all of them are listed.
    """
    file = find_recipe(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: a recipe is a mapping of keys to values, found {type(content).__name__}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        faults = [f"  {describe_fault(fault, {'': kind, **parts})}" for fault in error.errors()]
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise UserError("\n".join([f"{file} has {count}:", *faults])) from None


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
