"""What is wrong with a recipe, in the words of whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ia2_eval.errors import did_you_mean
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES

Place = tuple[int | str, ...]


def describe_fault(fault: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> str:
    """One line: where, what, and how to mend it.

    Args:
        fault: an entry of `ValidationError.errors()`.
        models: what a key of the recipe holds, by its name; "" for the recipe itself.
    """
    place = _as_written(fault["loc"])
    where = ".".join(map(str, place))
    kind, found = fault["type"], fault["input"]
    if kind == "extra_forbidden":
        return f"{where}: unknown key.{did_you_mean(str(place[-1]), _known_keys(fault['loc'], models))}"
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "tuple_type":
        return f"{where}: must be a list, such as [{found!r}] (found {found!r})"
    if kind == "union_tag_invalid":
        return f"{where}.type: there is no such adapter.{did_you_mean(str(fault['ctx']['tag']), ADAPTER_TYPES)}"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')} (found {found!r})"


def _as_written(location: Place) -> Place:
    """Without the parts that stand for our own classes: the kind of an adapter, the name of a plain method."""
    place = tuple(
        part
        for i, part in enumerate(location)
        if not (part in ADAPTER_TYPES and location[i - 1] == "adapter")
        and not (part == "adapter" and location[0] == "adapters")
    )
    return place[:-1] if len(place) == 3 and place[::2] == ("methods", "method") else place


def _known_keys(location: Place, models: Mapping[str, type[BaseModel]]) -> list[str]:
    """Keys that the mapping at fault may have."""
    names = [str(part) for part in location[:-1] if not isinstance(part, int)]
    holder = names[-1] if names else ""
    known = ADAPTER_TYPES[holder] if holder in ADAPTER_TYPES else models[holder]
    extra = ["learning_rates"] if names[:1] == ["adapters"] else []
    return [*known.model_fields, *extra]
