"""How answers are decoded, and the named settings of FastChat and the papers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from ia2_eval.frozen import Frozen

FASTCHAT_TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
    "arena-hard-200": 0.0,
}
"""Temperature of each category (FastChat, `temperature_config`)."""
FASTCHAT_OTHER_TEMPERATURE = 0.7
"""Of a category that is not in the table."""

PER_CATEGORY: Literal["per_category"] = "per_category"


def _temperature(value: Any) -> float | str:
    if value == PER_CATEGORY:
        return PER_CATEGORY
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        raise ValueError(f"must be a number from 0 to 10, or {PER_CATEGORY}")
    return float(value)


Temperature = Annotated[float | Literal["per_category"], PlainValidator(_temperature)]
PenaltyScope = Literal["all", "generated"]


class DecodingSettings(Frozen):
    """Decoding of all answers of a run. At temperature 0 the most probable token is taken, else tokens are sampled."""

    temperature: Temperature = Field(default=0.0, description="a number, or `per_category` for FastChat's")
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0, description="0: off")
    min_p: float = Field(default=0.0, ge=0, lt=1)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    penalty_scope: PenaltyScope = Field(
        default="all",
        description="`all`: tokens of the prompt are penalised too, as published",
    )
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2, description="of OpenAI's interface only")
    presence_penalty: float = Field(default=0.0, ge=-2, le=2, description="of OpenAI's interface only")
    max_new_tokens: int = Field(default=1024, ge=1)
    samples: int = Field(default=1, ge=1, description="answers to each question")
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _has_effect(self) -> DecodingSettings:
        if self.temperature == 0:
            idle = [name for name in ("top_p", "top_k", "min_p") if getattr(self, name) != _default(name)]
            if idle:
                raise ValueError(f"{' and '.join(idle)} without effect: temperature 0 takes the most probable token")
            if self.samples > 1:
                raise ValueError(f"samples = {self.samples}, but at temperature 0 all answers are the same")
        if self.penalty_scope != "all" and self.repetition_penalty == 1:
            raise ValueError(f"penalty_scope {self.penalty_scope!r} without effect: repetition_penalty is 1")
        return self

    def temperature_of(self, category: str) -> float:
        if self.temperature == PER_CATEGORY:
            return FASTCHAT_TEMPERATURES.get(category, FASTCHAT_OTHER_TEMPERATURE)
        return float(self.temperature)

    @property
    def name(self) -> str:
        """What differs from greedy decoding, such as `t0.7_p0.9`; without seed and number of samples."""
        temperature = "fastchat" if self.temperature == PER_CATEGORY else f"t{self.temperature:g}"
        parts = [temperature]
        for name, short in _SHORT.items():
            if (value := getattr(self, name)) != _default(name):
                parts.append(f"{short}{value:g}" if not isinstance(value, str) else f"{short}{value}")
        return "_".join(parts)


_SHORT = {
    "top_p": "p",
    "top_k": "k",
    "min_p": "m",
    "repetition_penalty": "rp",
    "penalty_scope": "scope-",
    "frequency_penalty": "fp",
    "presence_penalty": "pp",
    "max_new_tokens": "max",
}


def _default(name: str) -> Any:
    return DecodingSettings.model_fields[name].default


PRESETS: dict[str, DecodingSettings] = {
    "greedy": DecodingSettings(),
    "fastchat": DecodingSettings(temperature=PER_CATEGORY),
    "urial": DecodingSettings(repetition_penalty=1.15, max_new_tokens=2048),
    "urial_moe": DecodingSettings(temperature=0.5, max_new_tokens=2048),
    "urial_t1": DecodingSettings(temperature=1.0, max_new_tokens=2048),
    "gpt4_base": DecodingSettings(temperature=0.2, frequency_penalty=0.3, presence_penalty=0.1, max_new_tokens=2048),
}
"""`fastchat`: FastChat's `gen_model_answer`. `urial`, `urial_moe`, `urial_t1`: the three settings that URIAL tried, the
first for most models, the second for mixtures of experts. `gpt4_base`: icl-alignment's for OpenAI's base model."""
