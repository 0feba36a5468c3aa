"""The base class of everything that is written down: recipes, cells and records."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A typed, immutable value that refuses unknown keys."""

    # JSON has no NaN: a loss that diverged is written as the string "NaN" and read back as the number.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), ser_json_inf_nan="strings")
