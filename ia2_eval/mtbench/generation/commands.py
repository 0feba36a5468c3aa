"""What `ia2-eval mtbench generate` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from ia2_eval.adapters.stored import CONFIGURATION
from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.frozen import one_line
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.backends import require_supported, require_usable
from ia2_eval.mtbench.generation.conversation import CLEAN_UPS, CleanUp
from ia2_eval.mtbench.generation.decoding_settings import PER_CATEGORY, PRESETS, DecodingSettings
from ia2_eval.mtbench.generation.models import open_model
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout, answers_name, model_id_of
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.questions import spread


@dataclass(frozen=True)
class GenerateSettings:
    """The choices of a command line."""

    model: ModelSettings
    out: Path
    prompt_set: str | None
    """None: the model's chat template."""
    decoding: DecodingSettings
    bench: str
    limit: int | None = None
    model_id: str | None = None
    adapter: Path | None = None
    clean_up: str = "fence"
    data_dir: Path | None = None
    device: str | None = None
    batch_size: int | None = None

    def name(self, prompt_set: PromptSet | None) -> str:
        """The model id that was asked for, else one that says what the answers are.

        Raises:
            UserError: files cannot be called so.
        """
        if self.model_id is not None:
            return model_id_of(self.model_id)
        adapter = self.adapter.resolve().name if self.adapter else None
        return answers_name(self.model.base, prompt_set.name if prompt_set else "chat", self.decoding.name, adapter)


def generate_command(settings: GenerateSettings, console: Console) -> int:
    """Answer the questions of a bench; 130 when interrupted.

    Raises:
        UserError: something that was asked for is not to be had, or does not fit together; nothing was generated.
    """
    quieten()
    backend = require_usable(settings.model, settings.device)
    require_supported(backend, settings.decoding, settings.model.base)
    clean_up = _clean_up(settings)
    if settings.adapter is not None and not (settings.adapter / CONFIGURATION).is_file():
        raise UserError(f"--adapter {settings.adapter} is no directory of a PEFT adapter: it has no {CONFIGURATION}")
    bench = load_bench(settings.bench, settings.data_dir)
    questions = spread(bench.questions, settings.limit)
    prompt_set = None if settings.prompt_set is None else load_prompt_set(settings.prompt_set, settings.data_dir)
    name = settings.name(prompt_set)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    layout = Layout(settings.out)
    try:
        model = open_model(settings.model, settings.device, settings.batch_size)
        with model.adapted(settings.adapter) as adapted:
            answers = generate_answers(
                adapted, questions, prompt_set, settings.decoding, layout, name, clean_up, say, settings.bench
            )
    except KeyboardInterrupt:
        say("interrupted: the same command continues")
        return INTERRUPTED
    say(f"{len(answers)} answers in {layout.answers(name)}")
    return 0


def decoding_of(preset: str | None, given: dict[str, object]) -> DecodingSettings:
    """A preset, with the options that were given in place of its own.

    Raises:
        UserError: there is no such preset, or the settings make no sense.
    """
    if preset is not None and preset not in PRESETS:
        raise UserError(f"--preset is {preset!r}.{did_you_mean(preset, PRESETS)}")
    chosen = {name: value for name, value in given.items() if value is not None}
    begun = PRESETS[preset].model_dump(exclude_defaults=True) if preset else {}
    try:
        return DecodingSettings.model_validate(begun | chosen)
    except ValidationError as error:
        raise UserError(f"the decoding settings make no sense: {one_line(error)}") from None


def model_settings_of(
    backend: str,
    base: str,
    revision: str | None,
    dtype: str,
    chat: bool,
    model_args: dict[str, str | int | float | bool],
) -> ModelSettings:
    """
    Raises:
        UserError: a value is none of those known.
    """
    given = {"backend": backend, "base": base, "revision": revision, "dtype": dtype, "chat": chat}
    try:
        return ModelSettings.model_validate(given | {"model_args": model_args})
    except ValidationError as error:
        raise UserError(f"the model settings make no sense: {one_line(error)}") from None


def temperature_of(value: str | None) -> float | str | None:
    """From the command line: a number, or `per_category`.

    Raises:
        UserError: it is neither.
    """
    if value is None or value == PER_CATEGORY:
        return value
    try:
        return float(value)
    except ValueError:
        raise UserError(f"--temperature is {value!r}: give a number, or {PER_CATEGORY} for FastChat's") from None


def model_args_of(value: str | None) -> dict[str, str | int | float | bool]:
    """From `name=value,name=value`, as lm-eval reads it.

    Raises:
        UserError: a part has no `=`.
    """
    parts = [part for part in (value or "").split(",") if part]
    if wrong := [part for part in parts if "=" not in part]:
        raise UserError(f"--model-args: {wrong[0]!r} is not of the form name=value")
    return {name: _plain(text) for name, _, text in (part.partition("=") for part in parts)}


def _plain(text: str) -> str | int | float | bool:
    if text in ("True", "true", "False", "false"):
        return text in ("True", "true")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _clean_up(settings: GenerateSettings) -> CleanUp:
    if settings.clean_up not in CLEAN_UPS:
        raise UserError(f"--clean-up is {settings.clean_up!r}.{did_you_mean(settings.clean_up, CLEAN_UPS)}")
    if settings.clean_up == "paper" and settings.prompt_set is None:
        raise UserError("--clean-up paper without effect: it is that of a prompt set's format, and --chat takes none")
    return "paper" if settings.clean_up == "paper" else "fence"
