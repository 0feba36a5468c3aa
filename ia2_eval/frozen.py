"""The base class of everything that is written down: recipes, cells and records; what is wrong with a file of it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

FAULTS_SHOWN = 3
"""Of one file."""


class Frozen(BaseModel):
    """A typed, immutable value that refuses unknown keys."""

    # JSON has no NaN: a loss that diverged is written as the string "NaN" and read back as the number.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), ser_json_inf_nan="strings")


def one_line(error: Exception) -> str:
    """What is wrong with a file: the first line of an error, or the first faults that a validation found."""
    if not isinstance(error, ValidationError):
        return str(error).partition("\n")[0]
    faults = [
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, "))))
        for fault in error.errors()
    ]
    more = [f"{len(faults) - FAULTS_SHOWN} more"] if len(faults) > FAULTS_SHOWN else []
    return "; ".join([*faults[:FAULTS_SHOWN], *more])
