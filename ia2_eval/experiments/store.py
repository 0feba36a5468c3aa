"""A run's directory: records, samples and adapters, each written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.ownership.processes import process_id
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.record import NewerRecordError, Record, StoredTraining, dump_record, parse_record
from ia2_eval.frozen import one_line

TRAINING = "training.json"
COMPLETE = "adapters.complete"
"""Adapters that were written whole, on their way to their places."""

Row = TypeVar("Row", bound=BaseModel)


@dataclass(frozen=True)
class Store:
    """What the cells of a run left behind.

    `records/<key>.json` holds the record of a cell, `samples/<key>/<eval>.jsonl` its per-example rows,
    `adapters/<key>/` its adapter in PEFT's format with `training.json`. The record is written last, so a cell with a
    record is complete; one with an adapter only has been trained and not evaluated. `.work/` has what matters while
    processes work here: their heartbeats, their leases, and what each has not finished writing.
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

    @property
    def work_path(self) -> Path:
        return self.directory / ".work"

    @property
    def processes_path(self) -> Path:
        return self.work_path / "processes"

    @property
    def leases_path(self) -> Path:
        return self.work_path / "leases"

    def partial_path(self, process: str) -> Path:
        """What a process has not finished writing."""
        return self.work_path / "partial" / process

    def clear_targets(self) -> None:
        shutil.rmtree(self.targets_path, ignore_errors=True)

    def relative(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def record(self, key: str, on_damaged: Callable[[Path, str], None] | None = None) -> Record | None:
        """The record of a cell, or None when there is none or its file is no record of it.

        With `on_damaged` such a file is set aside as `<name>.damaged` and reported; without, it is left alone.

        Raises:
            UserError: it is of a later version of this package, which will not be overwritten.
        """
        path = self.record_path(key)
        try:
            return parse_record(path.read_bytes(), path.stem)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NewerRecordError as error:
            raise UserError(f"{path}: {error}, or give another --out") from error
        except ValueError as error:
            if on_damaged:
                aside = path.with_suffix(".json.damaged")
                with suppress(FileNotFoundError):  # another process was faster
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
        self._write(self.record_path(record.key), dump_record(record))

    def _write(self, path: Path, content: bytes) -> None:
        write_atomically(path, content, self.partial_path(process_id()))

    def set_aside(self, record: Record) -> Path:
        """Put the record of a failed cell under `failed/`, so that the cell is run again; gives its new place."""
        number = 1
        while (aside := self.directory / "failed" / f"{record.key}.{number}.json").exists():
            number += 1
        aside.parent.mkdir(exist_ok=True)
        return self.record_path(record.key).replace(aside)

    def write_samples(self, key: str, eval_name: str, rows: Iterable[BaseModel]) -> str:
        """Write per-example rows; gives their path relative to the run's directory."""
        return self.write_rows(self.relative(self.samples_path(key, eval_name)), rows)

    def write_rows(self, path: str, rows: Iterable[BaseModel]) -> str:
        """Write rows as JSON lines to a path relative to the run's directory, which is given back."""
        # In ASCII: a text may hold characters that some readers take for the end of a line.
        lines = (json.dumps(row.model_dump(mode="json")) + "\n" for row in rows)
        self._write(self.directory / path, "".join(lines).encode("ascii"))
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
        written = self.partial_path(process_id()) / "adapters"
        shutil.rmtree(written, ignore_errors=True)
        try:
            for key, save in write.items():
                (written / key).mkdir(parents=True)
                save(written / key)
            for key in write:
                shutil.rmtree(self.adapter_path(key), ignore_errors=True)
            written.replace(written.with_name(COMPLETE))
        finally:
            shutil.rmtree(written, ignore_errors=True)
        self.place_adapters()

    def place_adapters(self) -> None:
        """Put adapters in place that a process has written, or had written when it was killed."""
        for complete in self.work_path.glob(f"partial/*/{COMPLETE}"):
            try:
                adapters = list(complete.iterdir())
            except FileNotFoundError:
                continue  # another process has placed all of them
            for adapter in adapters:
                place = self.adapter_path(adapter.name)
                place.parent.mkdir(exist_ok=True)
                try:
                    adapter.replace(place)
                except FileNotFoundError:
                    continue  # another process has placed it
                except OSError:  # it is there already: the same cell gives the same adapter
                    if not place.is_dir():
                        raise
                    shutil.rmtree(adapter, ignore_errors=True)
            with suppress(OSError):
                complete.rmdir()

    def clear_partial(self, process: str) -> None:
        """Remove what a process has not finished writing, and will not; folders go with the last that was in them."""
        shutil.rmtree(self.partial_path(process), ignore_errors=True)
        for folder in (self.work_path / "partial", self.work_path):
            with suppress(OSError):  # another process has something there
                folder.rmdir()

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
            self._write(path, content)

    def write_recipe(self, recipe: Recipe) -> None:
        content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        self._write(self.directory / "recipe.yaml", content.encode())


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
        except SafetensorError as error:
            raise ValueError(f"{path.name}: {error}") from error
