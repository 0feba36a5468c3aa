"""Recipes of decoding sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, model_validator

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.recipe import NoRepeats, NotEmpty, Seed
from ia2_eval.experiments.recipe_file import read_recipe
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.backends import require_supported, require_usable
from ia2_eval.mtbench.generation.conversation import CleanUp
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.recipe_file import find_recipe
from ia2_eval.mtbench.short_forms import Judge, Model
from ia2_eval.mtbench.sweeps.grid import Grid, preset_settings


def _known_preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}.{did_you_mean(name, PRESETS)}")
    return name


class SweepRecipe(Frozen):
    """Every prompt set with every setting of the grid and every preset."""

    name: str
    model: Model
    bench: str = Field(default="mt_bench", description="`mt_bench`, `trial`, or a directory")
    limit: int | None = Field(default=None, ge=1, description="questions, taken from the categories in turn")
    prompt_sets: Annotated[tuple[str, ...], NotEmpty, NoRepeats] = ("default",)
    grid: Grid | None = None
    presets: Annotated[tuple[Annotated[str, AfterValidator(_known_preset)], ...], NoRepeats] = ()
    samples: int = Field(default=1, ge=1, description="answers to each question, where they are sampled")
    seed: Seed = 0
    clean_up: CleanUp = "fence"
    judge: Judge | None = None

    @model_validator(mode="after")
    def _has_settings(self) -> SweepRecipe:
        if self.grid is None and not self.presets:
            raise ValueError("there is nothing to sweep: give a grid, presets, or both")
        if self.model.chat and self.prompt_sets != ("default",):
            raise ValueError("prompt_sets without effect: with chat: true the model's own template is used")
        if self.model.chat and self.clean_up != "fence":
            raise ValueError(
                f"clean_up {self.clean_up} without effect: with chat: true there is no prompt set's format"
            )
        return self

    def settings(self) -> tuple[DecodingSettings, ...]:
        """All that differ.

        Raises:
            UserError: the model's backend cannot decode so, or has no use for what is asked of it.
        """
        backend = require_usable(self.model)
        swept = self.grid.settings(self.samples, self.seed) if self.grid else ()
        presets = [preset_settings(name, self.samples, self.seed) for name in self.presets]
        settings = tuple(dict.fromkeys([*swept, *presets]))
        for setting in settings:
            require_supported(backend, setting, self.model.base)
        names = [setting.name for setting in settings]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise UserError(f"several settings are called {', '.join(sorted(repeated))}")
        return settings


PARTS: dict[str, type[BaseModel]] = {"model": ModelSettings, "grid": Grid, "judge": JudgeSettings}


def load_sweep(path: Path) -> SweepRecipe:
    """
    Raises:
        UserError: there is no such recipe, or it has faults.
    """
    return read_recipe(find_recipe(path), SweepRecipe, PARTS)
