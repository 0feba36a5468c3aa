"""How the answers of a model id were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.mtbench.differences import differences
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.writing import writing

DTYPES = Literal["float32", "bfloat16", "float16"]
PACE = {"num_concurrent", "max_retries", "timeout", "ca_cert_path", "verify_certificate", "gpu_memory_utilization"}
"""Arguments of lm-eval's models that decide how answers are had, not which."""
FREE: dict[str, Any] = {"versions": True, "model": {"model_args": PACE}}
"""What may change while a run is continued."""


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
    """Everything that decides the answers to the questions of a bench, and what they were made with."""

    model: ModelSettings
    fingerprint: str = Field(description="of the model: hub commit, or sha256 of local files")
    adapter: str | None = Field(default=None, description="sha256 of the adapter on it")
    prompt_set: str | None = Field(description="its name; None: none, through the chat template")
    prompt_sha256: str | None
    decoding: DecodingSettings
    clean_up: Literal["fence", "paper"] = "fence"
    bench: str | None = Field(default=None, description="whose questions; None: unknown, or of no bench")
    versions: dict[str, str] = Field(
        default_factory=dict, description="of the packages; several where a run was continued with others"
    )

    def differences(self, other: AnswerSettings) -> list[str]:
        """What differs and can change answers, such as `decoding.temperature: 0.5 -> 0.7`."""
        return differences(self, other, FREE)

    def continuing(self, before: AnswerSettings) -> AnswerSettings:
        """These settings, with the versions of before too."""
        versions = dict(before.versions)
        for name, version in self.versions.items():
            known = versions.get(name, version).split(", ")
            versions[name] = ", ".join(dict.fromkeys([*known, version]))
        return self.model_copy(update={"versions": versions})


def settings_of_before(layout: Layout, model_id: str, settings: AnswerSettings) -> AnswerSettings | None:
    """Those of the texts or answers that are there; None where there are none yet.

    Raises:
        UserError: they are others, or unknown.
    """
    path = layout.settings(model_id)
    there = [each for each in (layout.texts(model_id), layout.answers(model_id)) if each.exists()]
    if not there:
        return None
    if not path.exists():
        raise UserError(
            f"nothing says how {there[0]} was made, for there is no {path}: choose another --model-id or --out, or "
            f"move {' and '.join(map(str, there))} away"
        )
    stored = read_settings(path)
    if changed := stored.differences(settings):
        raise UserError(
            f"{model_id}: there are answers of other settings ({'; '.join(changed)}): "
            "choose another --model-id or --out, or the settings of before"
        )
    return stored


def write_settings(path: Path, settings: AnswerSettings) -> None:
    """
    Raises:
        UserError: they cannot be written.
    """
    with writing(path):
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
        raise UserError(
            f"{path} is damaged ({one_line(error)}): move it, and the texts and answers of that name, away"
        ) from error
