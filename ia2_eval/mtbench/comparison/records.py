"""What a comparison writes down besides answers and judgments: its recipe, and what became of each arm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.experiments.provenance import versions
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.mtbench.comparison.recipe import ComparisonRecipe

Record = TypeVar("Record", bound=BaseModel)

FREE = {"name", "n", "seeds", "methods", "judge"}
"""Keys of a recipe that may change in the same directory: they say which arms there are, and change none."""


class ComparisonSettings(Frozen):
    """Everything that decides what the arms of a directory are."""

    recipe: ComparisonRecipe
    instruction: str
    examples_sha256: str
    bench_sha256: str
    fingerprint: str
    """Of the model."""
    versions: dict[str, str]


class ArmRecord(Frozen):
    """What became of an arm."""

    model_id: str
    status: Literal["done", "skipped", "failed"]
    reason: str | None = None
    """Why it is not done."""
    held_out: tuple[float, ...] = ()
    """Mean log-likelihood per token of the answer of each held-out example, in nats."""
    held_out_sha256: str = ""
    """Of those examples."""
    seconds: float = 0.0


def require_same(directory: Path, settings: ComparisonSettings) -> None:
    """Write the settings down where no comparison was before.

    Raises:
        UserError: there is another comparison.
    """
    path = directory / "comparison.json"
    if path.exists():
        stored = _read(path, ComparisonSettings)
        before, now = (_fixed(each) for each in (stored, settings))
        changed = [
            f"  {name}: {before.get(name)} -> {now.get(name)}"
            for name in before | now
            if before.get(name) != now.get(name)
        ]
        if changed:
            raise UserError(
                "\n".join([f"{directory} holds a comparison that differs in", *changed, "choose another --out"])
            )
    write_atomically(path, (settings.model_dump_json(indent=1) + "\n").encode())


def write_record(directory: Path, record: ArmRecord) -> None:
    write_atomically(_path(directory, record.model_id), (record.model_dump_json(indent=1) + "\n").encode())


def read_record(directory: Path, model_id: str) -> ArmRecord | None:
    """None where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = _path(directory, model_id)
    return _read(path, ArmRecord) if path.exists() else None


def new_settings(
    recipe: ComparisonRecipe, instruction: str, examples_sha256: str, bench_sha256: str, fingerprint: str
) -> ComparisonSettings:
    return ComparisonSettings(
        recipe=recipe,
        instruction=instruction,
        examples_sha256=examples_sha256,
        bench_sha256=bench_sha256,
        fingerprint=fingerprint,
        versions=versions(),
    )


def _path(directory: Path, model_id: str) -> Path:
    return directory / "arms" / f"{model_id}.json"


def _fixed(settings: ComparisonSettings) -> dict[str, str]:
    content = settings.model_dump(mode="json", exclude={"versions": True, "recipe": FREE})
    return _flat(content)


def _flat(content: dict[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat


def _read(path: Path, kind: type[Record]) -> Record:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): delete it, and the command writes it again") from error
