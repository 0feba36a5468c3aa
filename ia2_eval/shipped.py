"""Where the files that ship with the code are: tasks, recipes, published results and reference results."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _shipped(checkout_path: str, installed_name: str) -> Path:
    checkout = _PACKAGE.parent
    # An installed package has other packages for neighbours, and one of them may be called `tasks`.
    return (
        checkout / checkout_path if (checkout / "pyproject.toml").is_file() else _PACKAGE / "_shipped" / installed_name
    )


TASKS_DIRECTORY = _shipped("tasks", "tasks")
RECIPES_DIRECTORY = _shipped("training/recipes", "recipes")
PUBLISHED_DIRECTORY = _shipped("leaderboards/published", "published")
REFERENCE_DIRECTORY = _shipped("leaderboards/reference", "reference")
