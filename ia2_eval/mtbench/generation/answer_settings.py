"""How the answers of a model id were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings

DTYPES = Literal["float32", "bfloat16", "float16"]


class ModelSettings(Frozen):
    """The model that answers, as an lm-eval model."""

    backend: str = Field(default="ia2-hf", description="lm-eval's name of the model class")
    base: str = Field(default="embedded", description="hub name, local directory, `embedded`, or an endpoint's name")
    revision: str | None = None
    dtype: DTYPES = "float32"
    chat: bool = Field(default=False, description="ask through the model's chat template, without a prompt set")
    model_args: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="further arguments of the lm-eval model, such as base_url"
    )


class AnswerSettings(Frozen):
    """Everything that decides the answers but the questions, and what they were made with."""

    model: ModelSettings
    fingerprint: str = Field(description="of the model: hub commit, or sha256 of local files")
    adapter: str | None = Field(default=None, description="sha256 of the adapter on it")
    prompt_set: str | None = Field(description="its name; None: none, through the chat template")
    prompt_sha256: str | None
    decoding: DecodingSettings
    clean_up: Literal["fence", "paper"] = "fence"
    batch_size: int | None = Field(default=None, description="where it can change sampled texts")
    versions: dict[str, str] = Field(default_factory=dict, description="of the packages")

    def differences(self, other: AnswerSettings) -> list[str]:
        """What differs but the versions, such as `decoding.temperature: 0.5 -> 0.7`."""
        mine, its = (_flat(each.model_dump(mode="json", exclude={"versions"})) for each in (self, other))
        return [
            f"{name}: {mine.get(name)} -> {its.get(name)}" for name in mine | its if mine.get(name) != its.get(name)
        ]


def write_settings(path: Path, settings: AnswerSettings) -> None:
    """Write them where no answers are yet.

    Raises:
        UserError: there are answers of other settings.
    """
    if path.exists():
        stored = read_settings(path)
        if differences := stored.differences(settings):
            raise UserError(
                f"{path.stem}: there are answers of other settings ({'; '.join(differences)}): "
                "choose another --model-id or --out, or the settings of before"
            )
        if stored.versions == settings.versions:
            return
    write_atomically(path, (settings.model_dump_json(indent=1) + "\n").encode())


def read_settings(path: Path) -> AnswerSettings:
    """
    Raises:
        UserError: there are none, or they are damaged.
    """
    try:
        return AnswerSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): delete it, and the command writes it again") from error


def _flat(content: dict[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat
