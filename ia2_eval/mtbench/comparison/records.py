"""What a comparison writes down besides answers and judgments: its recipe, and what became of each arm."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.experiments.provenance import versions
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.mtbench.comparison.recipe import ComparisonRecipe
from ia2_eval.mtbench.differences import differences
from ia2_eval.mtbench.generation.answer_settings import PACE
from ia2_eval.mtbench.writing import writing

Record = TypeVar("Record", bound=BaseModel)

FREE = {
    "versions": True,
    "recipe": dict.fromkeys(("name", "n", "seeds", "methods", "judge"), True) | {"model": {"model_args": PACE}},
}
"""What may change in the same directory: it says which arms there are, or how fast, and changes none."""


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
        UserError: there is another comparison, or they cannot be written.
    """
    path = directory / "comparison.json"
    if path.exists():
        stored = _read(path, ComparisonSettings)
        if changed := differences(stored, settings, FREE):
            faults = [f"{directory} holds a comparison that differs in", *changed]
            raise UserError("\n".join(["\n  ".join(faults), "choose another --out"]))
    _write(path, settings)


def write_record(directory: Path, record: ArmRecord) -> None:
    """
    Raises:
        UserError: it cannot be written.
    """
    _write(_path(directory, record.model_id), record)


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


def _write(path: Path, record: BaseModel) -> None:
    with writing(path):
        write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())


def _read(path: Path, kind: type[Record]) -> Record:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): delete it, and the command writes it again") from error
