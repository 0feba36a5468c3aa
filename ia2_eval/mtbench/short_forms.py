"""What recipes may say in one word: a model or a judge by its name, a preset in place of decoding settings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from ia2_eval.errors import did_you_mean
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings


def _base(value: Any) -> Any:
    return {"base": value} if isinstance(value, str) else value


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _preset(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise ValueError(f"there is no such preset.{did_you_mean(value, PRESETS)}")
    return PRESETS[value]


Model = Annotated[ModelSettings, BeforeValidator(_base)]
Judge = Annotated[JudgeSettings, BeforeValidator(_model)]
Decoding = Annotated[DecodingSettings, BeforeValidator(_preset)]
