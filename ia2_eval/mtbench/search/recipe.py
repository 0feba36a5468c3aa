"""Recipes of demonstration searches, as YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.recipe_faults import describe_fault
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings

Strategy = Literal["exhaustive", "racing"]
ScorerKind = Literal["log_likelihood", "judge"]


class PoolSettings(Frozen):
    """Where demonstrations are chosen from."""

    path: str = Field(description="JSON lines, beside the recipe or in the data directory; or embedded:NAME/SPLIT")
    limit: int | None = Field(default=None, ge=1, description="draw this many; all when left out")
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the draw")


class DevSettings(Frozen):
    """What the demonstrations are scored on; the held-out part is drawn from the same rows."""

    path: str = Field(description="as that of the pool; from the same file, other rows than the pool's are drawn")
    size: int = Field(ge=2)


class ScorerSettings(Frozen):
    """What makes a prompt set better than another."""

    kind: ScorerKind
    judge: JudgeSettings | None = None
    bench: str = Field(default="mt_bench", description="whose judge prompts are used; its questions are refused")
    decoding: DecodingSettings = Field(default=PRESETS["greedy"], description="of the answers; a preset by its name")
    clean_up: Literal["fence", "paper"] = "fence"

    @field_validator("judge", mode="before")
    @classmethod
    def _judge_alone(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @field_validator("decoding", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in PRESETS:
            raise ValueError(f"there is no such preset.{did_you_mean(value, PRESETS)}")
        return PRESETS[value]

    @model_validator(mode="after")
    def _has_effect(self) -> ScorerSettings:
        if self.kind == "judge" and self.judge is None:
            raise ValueError("the kind `judge` needs a judge, such as judge: {model: trial}")
        idle = sorted(self.model_fields_set - {"kind"})
        if self.kind == "log_likelihood" and idle:
            raise ValueError(f"{' and '.join(idle)} without effect: log_likelihood needs no answers and no judge")
        return self


class SearchRecipe(Frozen):
    """A greedy forward search: in each round, the demonstration that helps most is put before the set's own."""

    name: str
    model: ModelSettings = ModelSettings()
    prompt_set: str = Field(description="to start from, as for --prompts; a path is relative to the recipe")
    pool: PoolSettings
    dev: DevSettings
    held_out: int = Field(ge=2, description="items that are scored at the end only")
    rounds: int = Field(default=3, ge=1)
    strategy: Strategy = "racing"
    eta: int = Field(default=2, ge=2, description="racing: one in `eta` candidates goes on to the next block")
    budget: int | None = Field(
        default=None, ge=1, description="racing: (candidate, item) pairs scored per round; a quarter of all by default"
    )
    greedy_sizes: tuple[int, ...] = Field(
        default=(), description="also write prompt sets of this many demonstrations, the best ones of round 1 added"
    )
    scorer: ScorerSettings
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the dev and the held-out set")

    @field_validator("model", mode="before")
    @classmethod
    def _base_alone(cls, value: Any) -> Any:
        return {"base": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_effect(self) -> SearchRecipe:
        idle = sorted(self.model_fields_set & {"eta", "budget"})
        if self.strategy == "exhaustive" and idle:
            raise ValueError(f"{' and '.join(idle)} without effect: every candidate is scored on every item")
        if self.model.chat:
            raise ValueError("model.chat: a chat model takes no prompt set, so there is nothing to search")
        return self


MODELS: dict[str, type[BaseModel]] = {
    "": SearchRecipe,
    "model": ModelSettings,
    "pool": PoolSettings,
    "dev": DevSettings,
    "scorer": ScorerSettings,
    "judge": JudgeSettings,
    "decoding": DecodingSettings,
}
"""What the keys of a recipe hold."""


def load_search_recipe(path: Path) -> SearchRecipe:
    """
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
        return SearchRecipe.model_validate(content)
    except ValidationError as error:
        faults = [f"  {describe_fault(fault, MODELS).removeprefix(': ')}" for fault in error.errors()]
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise UserError("\n".join([f"{path} has {count}:", *faults])) from None
