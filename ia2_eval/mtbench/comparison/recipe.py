"""The recipe of a comparison: which examples, how many, and what is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, field_validator

from ia2_eval.errors import did_you_mean
from ia2_eval.experiments.adapter_specs import AdapterSpec, Full, Lora
from ia2_eval.experiments.recipe import LearningRate, NoRepeats, NotEmpty, Seed
from ia2_eval.experiments.recipe_file import read_recipe
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.bench import MT_BENCH
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.backends import BACKENDS
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.recipe_file import find_recipe
from ia2_eval.mtbench.short_forms import Decoding, Judge, Model

UNTRAINED: Mapping[str, str] = {
    "no_icl": "the base model with the headings alone",
    "instruction": "with the instruction, without demonstrations",
    "icl": "with the instruction and the N examples as demonstrations",
}
"""Methods that train nothing."""
TRAINED = ("sft", "ia2", "ia2_sft", "sft_ia2", "ia2+sft", "soft_sft")
"""Methods of `ia2_training`; `sft` is instruction fine-tuning on the N examples."""
METHODS = (*UNTRAINED, *TRAINED)
WITHOUT_EXAMPLES = ("no_icl", "instruction")


def _known(method: str) -> str:
    if method not in METHODS:
        raise ValueError(f"there is no such method.{did_you_mean(method, METHODS)}")
    return method


class Training(Frozen):
    """How adapters are trained. arXiv 2405.19874 does not say how it fine-tuned; these defaults are our own."""

    learning_rate: LearningRate = Field(default=2e-4, description="constant, Adam; usual for LoRA on instructions")
    epochs: int = Field(default=15, ge=1, description="as many as LIMA's; without `dev` all are trained")
    batch_size: int = Field(default=4, ge=1, description="examples per optimiser step")
    micro_batch_size: int | None = Field(default=None, ge=1, description="examples per forward pass")
    gradient_checkpointing: bool = False
    adapter: AdapterSpec = Lora()
    dev: int = Field(
        default=0,
        ge=0,
        description="further examples that decide which weights are kept; labels that in-context learning does not get",
    )
    target_tokens: int = Field(default=512, ge=2, description="tokens of the teacher's response at most")

    @field_validator("adapter")
    @classmethod
    def _is_adapter(cls, adapter: AdapterSpec) -> AdapterSpec:
        if isinstance(adapter, Full):
            raise ValueError("full fine-tuning leaves no adapter; a comparison trains adapters on one loaded model")
        return adapter


class ComparisonRecipe(Frozen):
    """The same N examples as demonstrations and as training data, for every N and seed."""

    name: str
    model: Model = Field(description="a base model; its name alone is enough")
    data: str = Field(
        description="rows as LIMA's or Alpaca's, beside the recipe or in the data directory; or `embedded:arithmetic`"
    )
    n: Annotated[tuple[Annotated[int, Field(ge=1)], ...], NotEmpty, NoRepeats] = Field(description="numbers N")
    seeds: Annotated[tuple[Seed, ...], NotEmpty, NoRepeats] = Field(description="draws of the examples")
    methods: Annotated[tuple[Annotated[str, AfterValidator(_known)], ...], NotEmpty, NoRepeats] = Field(
        default=(*UNTRAINED, "sft", "ia2", "ia2_sft"), validate_default=True
    )
    training: Training = Training()
    instruction: str | None = Field(default=None, description="of `instruction` and `icl`; the shipped one if left out")
    bench: str = MT_BENCH
    limit: int | None = Field(default=None, ge=1, description="questions, taken from the categories in turn")
    decoding: Decoding = Field(default=PRESETS["greedy"], description="settings, or the name of a preset")
    held_out: int = Field(
        default=50, ge=0, description="examples kept back, whose answers' likelihood is measured; 0: none"
    )
    judge: Judge | None = Field(default=None, description="its model alone is enough")

    @field_validator("n", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @field_validator("model")
    @classmethod
    def _takes_prompts(cls, model: ModelSettings) -> ModelSettings:
        if model.backend not in BACKENDS:
            raise ValueError(f"there is no backend {model.backend!r}.{did_you_mean(model.backend, BACKENDS)}")
        if model.chat or BACKENDS[model.backend].chat:
            raise ValueError("demonstrations are shown to a base model: leave chat out")
        return model

    @field_validator("methods")
    @classmethod
    def _can_train(cls, methods: tuple[str, ...], read: Any) -> tuple[str, ...]:
        model: ModelSettings | None = read.data.get("model")
        trained = [method for method in methods if method in TRAINED]
        if model is not None and trained and model.backend != "ia2-hf":
            raise ValueError(f"{', '.join(trained)}: adapters are trained on ia2-hf only, and this is {model.backend}")
        return methods

    @property
    def most(self) -> int:
        return max(self.n)


PARTS: Mapping[str, type[BaseModel]] = {
    "model": ModelSettings,
    "training": Training,
    "decoding": DecodingSettings,
    "judge": JudgeSettings,
}
"""What the keys of a recipe hold."""


def load_comparison(path: Path) -> ComparisonRecipe:
    """Read a recipe, by its path or its shipped name.

    Raises:
        UserError: the file is missing or no YAML, or the recipe has faults; all of them are listed.
    """
    return read_recipe(find_recipe(path), ComparisonRecipe, PARTS)
