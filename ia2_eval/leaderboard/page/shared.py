"""Compact JSON: what is said often is written once, and numbers are whole."""

from __future__ import annotations

import json
from math import isfinite
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

SCALE = 10_000
"""Of metrics: four decimals are kept, the second of a percentage."""


class Shared:
    """Values that are written once; others name them by their place."""

    def __init__(self) -> None:
        self.values: list[Json] = []
        self._places: dict[str, int] = {}

    def place(self, value: Json) -> int:
        """Where the value stands; it is added if it is new."""
        key = json.dumps(value, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def scaled(value: float | None) -> int | None:
    """A metric as a whole number of 1 / `SCALE`; None where it is not finite."""
    return None if value is None or not isfinite(value) else round(SCALE * value)


def rounded(value: float | None, digits: int) -> float | None:
    """To that many significant digits; None where it is not finite."""
    return None if value is None or not isfinite(value) else float(f"{value:.{digits}g}")
