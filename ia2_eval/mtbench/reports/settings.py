"""Decoding settings as the axes of a grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings

Value = str | float
MOST_EMPTY = 0.25
"""Share of a grid's places without a setting, above which it is shown as a list."""


class Setting(NamedTuple):
    """How the answers of a model id were made."""

    model_id: str
    decoding: DecodingSettings
    prompt_set: str | None
    """None: the model's chat template."""
    base: str

    def values(self) -> dict[str, Value]:
        """Of each field that can be an axis; samples and seed are repetitions."""
        decoding = self.decoding.model_dump(exclude={"samples", "seed"})
        return {"model": self.base, "prompt set": self.prompt_set or "chat template", **decoding}


class Axis(NamedTuple):
    name: str
    values: tuple[Value, ...]
    """In order: numbers by size, then words."""


class Grid(NamedTuple):
    """Two axes, or three: of these the last is that of the panels."""

    rows: Axis
    columns: Axis
    panels: Axis | None
    places: Mapping[tuple[Value, Value, Value | None], str]
    """Model id at each value of rows, columns and panels; some may be without."""


def axes(settings: Iterable[Setting]) -> tuple[Axis, ...]:
    """What varies, as many values as it has."""
    found: dict[str, set[Value]] = {}
    for setting in settings:
        for name, value in setting.values().items():
            found.setdefault(name, set()).add(value)
    return tuple(Axis(name, tuple(sorted(values, key=_order))) for name, values in found.items() if len(values) > 1)


def in_order(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    """By their values on the axes, the first axis first."""
    settings = tuple(settings)
    names = [axis.name for axis in axes(settings)]
    return tuple(sorted(settings, key=lambda setting: [_order(setting.values()[name]) for name in names]))


def grid(settings: Sequence[Setting]) -> Grid | None:
    """None if not two or three axes vary, or two settings are in one place, or too many places are empty.

    Panels go along the axis with the fewest values, columns along the one with the most.
    """
    varying = sorted(axes(settings), key=lambda axis: -len(axis.values))
    if len(varying) not in (2, 3):
        return None
    columns, rows, *others = varying
    panels = others[0] if others else None
    places: dict[tuple[Value, Value, Value | None], str] = {}
    for setting in settings:
        values = setting.values()
        place = (values[rows.name], values[columns.name], values[panels.name] if panels else None)
        if place in places:
            return None
        places[place] = setting.model_id
    size = len(rows.values) * len(columns.values) * (len(panels.values) if panels else 1)
    return Grid(rows, columns, panels, places) if len(places) >= (1 - MOST_EMPTY) * size else None


def labels(settings: Sequence[Setting]) -> dict[str, str]:
    """A short name of each model id: what its decoding is called, without what all have in common, after the model and
    the prompt set where these vary; the model id itself where that does not tell all apart."""
    shown = [name for name in ("model", "prompt set") if name in {axis.name for axis in axes(settings)}]
    names = [setting.decoding.name.split("_") for setting in settings]
    common = {part for part in names[0][1:] if all(part in name for name in names)} if len(names) > 1 else set()
    short = {
        setting.model_id: " ".join(
            [
                *(str(setting.values()[name]) for name in shown),
                "_".join(part for part in decoding if part not in common),
            ]
        )
        for setting, decoding in zip(settings, names, strict=True)
    }
    return short if len(set(short.values())) == len(short) else {model: model for model in short}


def default_reference(models: Sequence[str], settings: Mapping[str, Setting]) -> str:
    """The first that decodes greedily without penalties, else the first that does so with them, else the first."""
    greedy = [model for model in models if model in settings and settings[model].decoding.temperature == 0]
    plain = [model for model in greedy if not _is_penalised(settings[model].decoding)]
    return (*plain, *greedy, *models)[0]


def _is_penalised(decoding: DecodingSettings) -> bool:
    penalties = (decoding.repetition_penalty, decoding.frequency_penalty, decoding.presence_penalty)
    return penalties != (1, 0, 0)


def _order(value: Value) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")
