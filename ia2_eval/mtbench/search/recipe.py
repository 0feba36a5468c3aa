"""Recipes of demonstration searches, as YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from ia2_eval.experiments.recipe import NoRepeats, Seed
from ia2_eval.experiments.recipe_file import read_recipe
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.conversation import CleanUp
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.recipe_file import find_recipe
from ia2_eval.mtbench.short_forms import Decoding, Judge, Model

Strategy = Literal["exhaustive", "racing"]
ScorerKind = Literal["log_likelihood", "judge"]


class PoolSettings(Frozen):
    """Where demonstrations are chosen from."""

    path: str = Field(description="JSON lines, beside the recipe or in the data directory; or embedded:NAME/SPLIT")
    limit: int | None = Field(default=None, ge=1, description="draw this many; all when left out")
    seed: Seed = Field(default=0, description="of the draw")


class DevSettings(Frozen):
    """What the demonstrations are scored on; the held-out part is drawn from the same rows."""

    path: str = Field(description="as that of the pool; from the same file, other rows than the pool's are drawn")
    size: int = Field(ge=2)


class ScorerSettings(Frozen):
    """What makes a prompt set better than another."""

    kind: ScorerKind
    judge: Judge | None = None
    bench: str = Field(default="mt_bench", description="whose judge prompts are used; its questions are refused")
    decoding: Decoding = Field(default=PRESETS["greedy"], description="of the answers; a preset by its name")
    clean_up: CleanUp = "fence"

    @model_validator(mode="after")
    def _has_effect(self) -> ScorerSettings:
        if self.kind == "judge" and self.judge is None:
            raise ValueError("the kind `judge` needs a judge, such as judge: {model: trial}")
        fields = ScorerSettings.model_fields
        idle = [name for name in fields if name != "kind" and getattr(self, name) != fields[name].default]
        if self.kind == "log_likelihood" and idle:
            raise ValueError(f"{' and '.join(idle)} without effect: log_likelihood needs no answers and no judge")
        return self


class SearchRecipe(Frozen):
    """A greedy forward search: in each round, the demonstration that helps most is put before the set's own."""

    name: str
    model: Model = ModelSettings()
    prompt_set: str = Field(description="to start from, as for --prompts; a path is relative to the recipe")
    pool: PoolSettings
    dev: DevSettings
    held_out: int = Field(ge=2, description="items that are scored at the end only")
    rounds: int = Field(default=3, ge=1)
    strategy: Strategy = "racing"
    eta: int = Field(default=2, ge=2, description="racing: one in `eta` candidates goes on to the next block")
    budget: int | None = Field(
        default=None,
        ge=1,
        description="racing: (candidate, item) pairs per round; by default a quarter of all, or the least possible",
    )
    greedy_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], NoRepeats] = Field(
        default=(), description="also write prompt sets of this many demonstrations, the best ones of round 1 added"
    )
    scorer: ScorerSettings
    seed: Seed = Field(default=0, description="of the dev and the held-out set")

    @field_validator("model")
    @classmethod
    def _takes_prompts(cls, model: ModelSettings) -> ModelSettings:
        if model.chat:
            raise ValueError("chat: true leaves nothing to search: a chat model takes no prompt set")
        return model

    @field_validator("eta", "budget")
    @classmethod
    def _of_racing(cls, value: int | None, read: ValidationInfo) -> int | None:
        if read.data.get("strategy") == "exhaustive" and value is not None:
            raise ValueError("without effect: an exhaustive search scores every candidate on every item")
        return value


PARTS: dict[str, type[BaseModel]] = {
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
        UserError: there is no such recipe, or it has faults; all of them are listed.
    """
    return read_recipe(find_recipe(path), SearchRecipe, PARTS)
