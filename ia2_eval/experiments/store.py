"""A run's directory: records, samples and adapters, each written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.record import Record, StoredTraining, parse_record
from ia2_eval.frozen import one_line

TRAINING = "training.json"

Row = TypeVar("Row", bound=BaseModel)


@dataclass(frozen=True)
class Store:
    """What the cells of a run left behind.

    `records/<key>.json` holds the record of a cell, `samples/<key>/<eval>.jsonl` its per-example rows,
    `adapters/<key>/` its adapter in PEFT's format with `training.json`. The record is written last, so a cell with a
    record is complete; one with an adapter only has been trained and not evaluated.
    """

    directory: Path

    def record_path(self, key: str) -> Path:
        return self.directory / "records" / f"{key}.json"

    def adapter_path(self, key: str) -> Path:
        return self.directory / "adapters" / key

    def samples_path(self, key: str, eval_name: str) -> Path:
        return self.directory / "samples" / key / f"{eval_name}.jsonl"

    @property
    def targets_path(self) -> Path:
        """Where the teacher's targets are kept while the run is not complete."""
        return self.directory / "targets"

    def clear_targets(self) -> None:
        shutil.rmtree(self.targets_path, ignore_errors=True)

    def relative(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def record(self, key: str, on_damaged: Callable[[Path, str], None] | None = None) -> Record | None:
        """The record of a cell, or None when there is none or its file is no record of it.

        With `on_damaged` such a file is set aside as `<name>.damaged` and reported; without, it is left alone.
        """
        path = self.record_path(key)
        if not path.exists():
            return None
        try:
            return parse_record(path.read_bytes(), path.stem)
        except ValueError as error:
            if on_damaged:
                aside = path.with_suffix(".json.damaged")
                path.replace(aside)
                on_damaged(aside, str(error).splitlines()[0])
            return None

    def training(self, key: str, on_damaged: Callable[[Path, str], None] | None = None) -> StoredTraining | None:
        """What is known of the training of a cell; None where there is no adapter, or one that cannot be used.

        With `on_damaged` such an adapter is set aside as `<key>.damaged` and reported; without, it is left alone.
        """
        adapter = self.adapter_path(key)
        if not (adapter / TRAINING).is_file():
            return None
        try:
            _require_weights(adapter)
            return StoredTraining.model_validate_json((adapter / TRAINING).read_bytes())
        except ValueError as error:
            if on_damaged:
                aside = adapter.with_name(f"{key}.damaged")
                shutil.rmtree(aside, ignore_errors=True)
                adapter.replace(aside)
                on_damaged(aside, str(error).splitlines()[0])
            return None

    def done(self, cell: Cell, on_damaged: Callable[[Path, str], None] | None = None) -> Record | None:
        """The record of a cell that has finished well; None when it must be run (again)."""
        record = self.record(cell.key, on_damaged)
        return record if record is not None and record.status == "ok" else None

    def write_record(self, record: Record) -> None:
        write_atomically(self.record_path(record.key), (record.model_dump_json(indent=1) + "\n").encode())

    def write_samples(self, key: str, eval_name: str, rows: Iterable[BaseModel]) -> str:
        """Write per-example rows; gives their path relative to the run's directory."""
        return self.write_rows(self.relative(self.samples_path(key, eval_name)), rows)

    def write_rows(self, path: str, rows: Iterable[BaseModel]) -> str:
        """Write rows as JSON lines to a path relative to the run's directory, which is given back."""
        # In ASCII: a text may hold characters that some readers take for the end of a line.
        lines = (json.dumps(row.model_dump(mode="json")) + "\n" for row in rows)
        write_atomically(self.directory / path, "".join(lines).encode("ascii"))
        return path

    def read_rows(self, path: str, kind: type[Row], count: int | None = None) -> list[Row]:
        """The rows of a file that `write_rows` wrote; `count` of them, if that is given.

        Raises:
            OSError: it cannot be read.
            ValueError: a line is no such row; it is named. Or there are more or fewer rows.
        """
        rows = []
        for number, line in enumerate((self.directory / path).read_bytes().splitlines(), start=1):
            try:
                rows.append(kind.model_validate_json(line))
            except ValidationError as error:
                raise ValueError(f"{path}, line {number}: {one_line(error)}") from error
        if count is not None and len(rows) != count:
            raise ValueError(f"{path}: {len(rows)} rows, but the record counts {count} examples")
        return rows

    def write_adapters(self, write: Mapping[str, Callable[[Path], None]]) -> None:
        """Let each function write the adapter of a key into a new folder, then put all of them in place.

        Whatever happens, either all of them count or none: a run that begins calls `place_adapters`.
        """
        self.place_adapters()
        try:
            for key, save in write.items():
                (self._being_written / key).mkdir(parents=True)
                save(self._being_written / key)
            self._being_written.replace(self._written)
        finally:
            shutil.rmtree(self._being_written, ignore_errors=True)
        self.place_adapters()

    def place_adapters(self) -> None:
        """Put adapters in place that a run had written before it was killed; remove what it had half written."""
        shutil.rmtree(self._being_written, ignore_errors=True)
        if self._written.is_dir():
            for adapter in self._written.iterdir():
                place = self.adapter_path(adapter.name)
                shutil.rmtree(place, ignore_errors=True)
                place.parent.mkdir(exist_ok=True)
                adapter.replace(place)
            self._written.rmdir()

    @property
    def _being_written(self) -> Path:
        return self.directory / "adapters.partial"

    @property
    def _written(self) -> Path:
        return self.directory / "adapters.complete"

    def write_plan(self, cells: Iterable[Cell]) -> None:
        """Add cells to `plan.json`, which says what a complete run of this directory has: key -> cell, latest last.

        Raises:
            UserError: there is a plan already that cannot be read.
        """
        path = self.directory / "plan.json"
        try:
            planned = dict(json.loads(path.read_bytes())) if path.exists() else {}
        except ValueError as error:
            raise UserError(
                f"{path} is damaged ({error}): delete it and run the recipes of this directory again"
            ) from error
        added = {cell.key: cell.model_dump(mode="json") for cell in cells}
        planned = {key: cell for key, cell in planned.items() if key not in added} | added
        content = (json.dumps(planned, indent=1) + "\n").encode()
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)

    def write_recipe(self, recipe: Recipe) -> None:
        content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        write_atomically(self.directory / "recipe.yaml", content.encode())


def _require_weights(adapter: Path) -> None:
    """
    Raises:
        ValueError: a file of weights is missing, or shorter or longer than its header says.
    """
    from safetensors import SafetensorError, safe_open

    paths = list(adapter.glob("*.safetensors"))
    if not paths:
        raise ValueError("there are no weights (*.safetensors)")
    for path in paths:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path.name}: {error}") from error
