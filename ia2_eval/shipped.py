"""Where the files that ship with the code are: the lm-eval tasks and the recipes."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _shipped(checkout_path: str, installed_name: str) -> Path:
    in_checkout = _PACKAGE.parent / checkout_path
    return in_checkout if in_checkout.is_dir() else _PACKAGE / "_shipped" / installed_name


TASKS_DIRECTORY = _shipped("tasks", "tasks")
RECIPES_DIRECTORY = _shipped("training/recipes", "recipes")
