"""What differs between two settings that are written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

SHOWN = 120
"""Characters of a value in a message."""


def differences(before: BaseModel, now: BaseModel, free: Mapping[str, Any]) -> list[str]:
    """Such as `recipe.rounds: 2 -> 3`.

    Args:
        before: settings.
        now: others of the same kind.
        free: what may differ, as pydantic's `exclude`.
    """
    mine, its = (_flat(each.model_dump(mode="json", exclude=dict(free))) for each in (before, now))
    return [
        f"{name}: {_shown(mine.get(name))} -> {_shown(its.get(name))}"
        for name in mine | its
        if mine.get(name) != its.get(name)
    ]


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _shown(value: Any) -> str:
    line = json.dumps(value)
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
