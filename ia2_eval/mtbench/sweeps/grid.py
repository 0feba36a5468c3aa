"""A grid of decoding settings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError, field_validator

from ia2_eval.experiments.recipe import NoRepeats, NotEmpty
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings, PenaltyScope, Temperature

IDLE_AT_ZERO = ("top_p", "top_k", "min_p")
"""Settings that change nothing where the most probable token is taken."""


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Many = BeforeValidator(_one_or_many)


class Grid(Frozen):
    """Every combination of these values; one value may stand alone."""

    temperature: Annotated[tuple[Temperature, ...], NotEmpty, NoRepeats, Many] = (0.0,)
    top_p: Annotated[tuple[float, ...], NotEmpty, NoRepeats, Many] = (1.0,)
    top_k: Annotated[tuple[int, ...], NotEmpty, NoRepeats, Many] = (0,)
    min_p: Annotated[tuple[float, ...], NotEmpty, NoRepeats, Many] = (0.0,)
    repetition_penalty: Annotated[tuple[float, ...], NotEmpty, NoRepeats, Many] = (1.0,)
    penalty_scope: Annotated[tuple[PenaltyScope, ...], NotEmpty, NoRepeats, Many] = ("all",)
    frequency_penalty: Annotated[tuple[float, ...], NotEmpty, NoRepeats, Many] = (0.0,)
    presence_penalty: Annotated[tuple[float, ...], NotEmpty, NoRepeats, Many] = (0.0,)
    max_new_tokens: Annotated[tuple[int, ...], NotEmpty, NoRepeats, Many] = (1024,)

    @field_validator("*")
    @classmethod
    def _each_in_range(cls, values: tuple[Any, ...], info: Any) -> tuple[Any, ...]:
        for value in values:
            try:
                DecodingSettings.model_validate({"temperature": 1.0, "repetition_penalty": 1.1, info.field_name: value})
            except ValidationError as error:
                fault = next((each for each in error.errors() if each["loc"][:1] == (info.field_name,)), None)
                if fault is not None:
                    raise ValueError(f"{fault['msg'].replace('Input should be', 'must be')}, not {value}") from None
        return values

    def settings(self, samples: int = 1, seed: int = 0) -> tuple[DecodingSettings, ...]:
        """All combinations that differ: what changes nothing is left out of them (`IDLE_AT_ZERO`, several samples and
        the penalty's scope where there is nothing to sample or to penalise)."""
        return tuple(dict.fromkeys(self._all(samples, seed)))

    def _all(self, samples: int, seed: int) -> Iterator[DecodingSettings]:
        names = list(type(self).model_fields)
        for values in product(*(getattr(self, name) for name in names)):
            setting = dict(zip(names, values, strict=True)) | {"samples": samples, "seed": seed}
            if setting["temperature"] == 0:
                setting = {name: value for name, value in setting.items() if name not in (*IDLE_AT_ZERO, "samples")}
            if setting["repetition_penalty"] == 1:
                del setting["penalty_scope"]
            yield DecodingSettings.model_validate(setting)

    @property
    def combinations(self) -> int:
        """With those that change nothing."""
        count = 1
        for name in type(self).model_fields:
            count *= len(getattr(self, name))
        return count


def preset_settings(name: str, samples: int, seed: int) -> DecodingSettings:
    """A preset with a number of samples, where it samples, and a seed."""
    preset = PRESETS[name]
    return preset.model_copy(update={"samples": 1 if preset.temperature == 0 else samples, "seed": seed})
