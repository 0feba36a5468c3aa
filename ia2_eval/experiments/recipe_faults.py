"""What is wrong with a recipe, in the words of whoever wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import did_you_mean
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES, Prefix, Prompt

if TYPE_CHECKING:
    from ia2_eval.experiments.recipe import Recipe

Place = tuple[int | str, ...]

ONE_OF_THE_ADAPTERS = f"must be one of {', '.join(ADAPTER_TYPES)}"


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
        return f"{'.'.join(map(str, _as_written(fault['loc'], whole=True)))}: is missing"
    if kind == "tuple_type":
        return f"{where}: must be a list, such as [{as_yaml(found)}] (found {as_yaml(found)})"
    if kind == "union_tag_invalid":
        return f"{where}.type: there is no such adapter; {ONE_OF_THE_ADAPTERS} (found {as_yaml(fault['ctx']['tag'])})"
    if kind == "union_tag_not_found":
        return f"{where}.type: {ONE_OF_THE_ADAPTERS} (found {as_yaml(found)})"
    if kind == "too_short":
        return f"{where}: is empty"
    if kind == "model_type" and place[0] == "adapters":
        example = f"{{type: {found if found in list(ADAPTER_TYPES) else 'ia3'}, learning_rates: [0.001]}}"
        return f"{where}: must be a mapping, such as {example} (found {as_yaml(found)})"
    if kind == "model_type":
        keys = ", ".join(_known_keys((*fault["loc"], ""), models))
        return f"{where}: must be a mapping with keys among {keys} (found {as_yaml(found)})"
    if kind == "value_error" and isinstance(found, list | tuple | dict | BaseModel):
        return f"{where}: {fault['ctx']['error']}" if where else str(fault["ctx"]["error"])
    reason = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{where}: {reason} (found {as_yaml(found)})"


def as_yaml(value: object) -> str:
    """As in a recipe, on one line, cut where it gets long."""
    if isinstance(value, BaseModel):
        kind = next((name for name, model in ADAPTER_TYPES.items() if isinstance(value, model)), None)
        value = ({"type": kind} if kind else {}) | value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, tuple):
        value = list(value)
    line = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
    line = line.removesuffix("\n").removesuffix("\n...")
    return line if len(line) <= 100 else f"{line[:97]}..."


def faults_for_model(recipe: Recipe, config: Mapping[str, Any]) -> Iterator[str]:
    """What a recipe asks of its base that the base does not have; one line each.

    Args:
        recipe: whose base is meant.
        config: content of the base's config.json. What it does not say is not checked.
    """
    config = {**config, **(config.get("text_config") or {})}  # a model of several modalities describes its text part
    layers, vocabulary, positions = (
        config.get(key) for key in ("num_hidden_layers", "vocab_size", "max_position_embeddings")
    )
    for i, entry in enumerate(recipe.methods):
        if entry.alignment and layers:
            try:
                entry.variants[0].training_method.alignment.layer_indices(layers)
            except ValueError as error:
                yield f"methods.{i}.alignment.layers: {error}"
        if entry.top_k and vocabulary and entry.top_k > vocabulary:
            yield f"methods.{i}.top_k: the vocabulary has {vocabulary} tokens (found {entry.top_k})"
    longest = max(get_benchmark(source.source).max_new_tokens for source in recipe.benchmarks)
    adapters = [(f"adapters.{i}", choice.adapter) for i, choice in enumerate(recipe.adapters)]
    for place, adapter in [("adapter", recipe.adapter), *adapters]:
        if isinstance(adapter, Prompt | Prefix) and positions and adapter.virtual_tokens + longest >= positions:
            yield (
                f"{place}.virtual_tokens: the model has {positions} positions, for virtual tokens, the prompt and "
                f"the tokens of the answer ({longest} at most) (found {adapter.virtual_tokens})"
            )


def _as_written(location: Place, whole: bool = False) -> Place:
    """Without the parts that stand for our own classes: the kind of an adapter, the name of a plain method unless
    `whole`."""
    place = tuple(
        part
        for i, part in enumerate(location)
        if not (part in ADAPTER_TYPES and location[i - 1] == "adapter")
        and not (part == "adapter" and location[0] == "adapters")
    )
    return place[:-1] if not whole and len(place) == 3 and place[::2] == ("methods", "method") else place


def _known_keys(location: Place, models: Mapping[str, type[BaseModel]]) -> list[str]:
    """Keys that the mapping at fault may have."""
    names = [str(part) for part in location[:-1] if not isinstance(part, int)]
    holder = names[-1] if names else ""
    known = ADAPTER_TYPES[holder] if holder in ADAPTER_TYPES else models[holder]
    extra = ["learning_rates"] if names[:1] == ["adapters"] else []
    return [*known.model_fields, *extra]
