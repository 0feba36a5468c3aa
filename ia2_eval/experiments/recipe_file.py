"""Reads YAML files of recipes, all faults of which are listed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ia2_eval.errors import UserError
from ia2_eval.experiments.recipe_faults import describe_fault

Kind = TypeVar("Kind", bound=BaseModel)


def read_recipe(path: Path, kind: type[Kind], parts: Mapping[str, type[BaseModel]]) -> Kind:
    """
    Args:
        path: of the file.
        kind: what the recipe is.
        parts: what its keys hold, by their names, for messages.

    Raises:
        UserError: the file is missing or no YAML, or the recipe has faults; all of them are listed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no recipe {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: a recipe is a mapping of keys to values, found {type(content).__name__}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        faults = [f"  {describe_fault(fault, {'': kind, **parts})}" for fault in error.errors()]
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise UserError("\n".join([f"{path} has {count}:", *faults])) from None
