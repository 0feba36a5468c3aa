"""Recipes: what to run, as a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.cell import UNTRAINED, Lora, Method
from ia2_eval.frozen import Frozen
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("is empty")
    return values


def _no_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"holds a value twice: {list(values)}")
    return values


# After the values themselves: pydantic's own `min_length` also complains of a list whose only value is wrong.
NotEmpty = AfterValidator(_not_empty)
NoRepeats = AfterValidator(_no_repeats)


def _known_method(method: Method) -> Method:
    from ia2_training import METHODS

    known = (*UNTRAINED, *METHODS)
    if method not in known:
        raise ValueError(f"there is no such method.{did_you_mean(method, known)}")
    return method


Seed = Annotated[int, Field(ge=0, lt=2**32)]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Source(Frozen):
    """A benchmark to learn from, and how many examples to learn from."""

    source: str = Field(description="benchmark name, such as `sst2`")
    n: Annotated[tuple[int, ...], NotEmpty, NoRepeats] = Field(description="sizes N of the training sets")
    evals: Annotated[tuple[str, ...], NotEmpty, NoRepeats] | None = Field(
        default=None,
        description="benchmarks to evaluate on; the source and its out-of-distribution partners when left out",
    )

    @field_validator("n", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value


class Recipe(Frozen):
    """A grid of cells: base x (benchmark, N) x seed x method x learning rate."""

    name: str
    base: Base
    protocol: Protocol = "strict"
    benchmarks: Annotated[tuple[Source, ...], NotEmpty]
    seeds: Annotated[tuple[Seed, ...], NotEmpty, NoRepeats] = Field(
        description="one draw of D_T, initialisation and order of examples each"
    )
    methods: Annotated[tuple[Annotated[Method, AfterValidator(_known_method)], ...], NotEmpty, NoRepeats]
    learning_rates: Annotated[tuple[LearningRate, ...], NoRepeats] = ()
    adapter: Lora = Lora()
    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=4, ge=1, description="training examples per optimiser step")
    target_tokens: int = Field(
        default=200, ge=1, description="T of multi-token benchmarks: tokens of the teacher's response at most"
    )
    limit: int | None = Field(default=None, ge=1, description="evaluate on the first `limit` examples only")

    @field_validator("base", mode="before")
    @classmethod
    def _model_alone(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UserError: the file is missing or no YAML, or the recipe has faults; all of them are listed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no recipe {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: a recipe is a mapping of keys to values, found {type(content).__name__}")
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_describe(fault)}" for fault in error.errors())
        raise UserError(f"{path} has {error.error_count()} fault(s):\n{faults}") from None


def _describe(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        parts: dict[str, type[Frozen]] = {"base": Base, "benchmarks": Source, "adapter": Lora}
        model = parts.get(str(fault["loc"][0]), Recipe) if len(fault["loc"]) > 1 else Recipe
        key = str(fault["loc"][-1])
        return f"{place}: unknown key.{did_you_mean(key, model.model_fields)}"
    if fault["type"] == "missing":
        return f"{place}: is missing"
    if fault["type"] == "tuple_type":
        return f"{place}: must be a list, such as [{fault['input']!r}] (found {fault['input']!r})"
    return f"{place}: {fault['msg'].removeprefix('Value error, ')} (found {fault['input']!r})"
