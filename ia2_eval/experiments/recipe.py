"""Recipes: what to run, as a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from ia2_eval.experiments.adapter_specs import AdapterSpec, Lora
from ia2_eval.experiments.agreement import Agreement
from ia2_eval.experiments.method_entry import MethodEntry
from ia2_eval.experiments.method_options import AlignmentSpec, LowData, MethodVariant
from ia2_eval.experiments.recipe_faults import as_yaml
from ia2_eval.experiments.recipe_file import read_recipe
from ia2_eval.frozen import Frozen
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("is empty")
    return values


def _no_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"holds a value twice: {as_yaml(value)}")
    return values


def _two_at_least(n: int) -> int:
    if n < 2:
        raise ValueError("a training set has at least 2 examples: each is shown the others as demonstrations")
    return n


# After the values themselves: pydantic's own `min_length` also complains of a list whose only value is wrong.
NotEmpty = AfterValidator(_not_empty)
NoRepeats = AfterValidator(_no_repeats)


Size = Annotated[int, AfterValidator(_two_at_least)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Source(Frozen):
    """A benchmark to learn from, and how many examples to learn from."""

    source: str = Field(description="benchmark name, such as `sst2`")
    n: Annotated[tuple[Size, ...], NotEmpty, NoRepeats] = Field(description="sizes N of the training sets")
    evals: Annotated[tuple[str, ...], NotEmpty, NoRepeats] | None = Field(
        default=None,
        description="benchmarks to evaluate on; the source and its out-of-distribution partners when left out",
    )

    @field_validator("n", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value


class AdapterChoice(Frozen):
    """A kind of adapter and the learning rates that it is trained with; in a recipe both stand in one mapping."""

    adapter: AdapterSpec
    learning_rates: Annotated[tuple[LearningRate, ...], NotEmpty, NoRepeats]

    @model_validator(mode="before")
    @classmethod
    def _one_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        rates = {name: value[name] for name in ("learning_rates",) if name in value}
        return {"adapter": {name: part for name, part in value.items() if name not in rates}, **rates}

    @model_serializer
    def _as_read(self) -> dict[str, Any]:
        return {**self.adapter.model_dump(mode="json"), "learning_rates": list(self.learning_rates)}


class Recipe(Frozen):
    """A grid of cells: base x (benchmark, N) x seed x method x adapter x learning rate."""

    name: str
    base: Base
    protocol: Protocol = "strict"
    benchmarks: Annotated[tuple[Source, ...], NotEmpty]
    seeds: Annotated[tuple[Seed, ...], NotEmpty, NoRepeats] = Field(
        description="one draw of D_T, initialisation and order of examples each"
    )
    methods: Annotated[tuple[MethodEntry, ...], NotEmpty]
    learning_rates: Annotated[tuple[LearningRate, ...], NoRepeats] = ()
    adapter: AdapterSpec | None = Field(default=None, description="LoRA as in the IA2 paper when left out")
    adapters: tuple[AdapterChoice, ...] = Field(default=(), description="instead of `adapter` and `learning_rates`")
    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=4, ge=1, description="training examples per optimiser step")
    target_tokens: int = Field(
        default=200, ge=1, description="T of multi-token benchmarks: tokens of the teacher's response at most"
    )
    limit: int | None = Field(default=None, ge=1, description="evaluate on the first `limit` examples only")
    temperature_scaling: bool = Field(
        default=False, description="single-token benchmarks: calibration after fitting a temperature to the dev set too"
    )
    agreement: Agreement | None = Field(
        default=None, description="multi-token benchmarks: confidence from the agreement of sampled answers too"
    )

    @field_validator("base", mode="before")
    @classmethod
    def _model_alone(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @field_validator("methods")
    @classmethod
    def _no_method_twice(cls, entries: tuple[MethodEntry, ...]) -> tuple[MethodEntry, ...]:
        _no_repeats(tuple(variant for entry in entries for variant in entry.variants))
        return entries

    @field_validator("adapters")
    @classmethod
    def _adapters_alone(cls, choices: tuple[AdapterChoice, ...], read: ValidationInfo) -> tuple[AdapterChoice, ...]:
        given = [name for name in ("adapter", "learning_rates") if read.data.get(name)]
        if choices and given:
            raise ValueError(f"stands instead of {' and '.join(given)}: each adapter has its own learning_rates")
        _no_repeats(tuple(choice.adapter for choice in choices))
        return choices

    @property
    def variants(self) -> tuple[MethodVariant, ...]:
        """The methods with their options."""
        return tuple(variant for entry in self.methods for variant in entry.variants)

    @property
    def grid(self) -> tuple[tuple[AdapterSpec, LearningRate], ...]:
        """What every trained method is trained with."""
        if not self.adapters:
            return tuple((self.adapter or Lora(), rate) for rate in self.learning_rates)
        return tuple((choice.adapter, rate) for choice in self.adapters for rate in choice.learning_rates)


PARTS: dict[str, type[BaseModel]] = {
    "base": Base,
    "benchmarks": Source,
    "methods": MethodEntry,
    "alignment": AlignmentSpec,
    "low_data": LowData,
    "agreement": Agreement,
}
"""What the keys of a recipe hold."""


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UserError: the file is missing or no YAML, or the recipe has faults; all of them are listed.
    """
    return read_recipe(path, Recipe, PARTS)
