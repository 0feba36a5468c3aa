"""A first look at records: the few fields that a summary needs, without validating the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.faults import VARYING
from ia2_eval.experiments.record import NewerRecordError, read_unaltered
from ia2_eval.frozen import one_line

Fields = Mapping[str, object]
"""Of a JSON object."""


class Kind(NamedTuple):
    """What cells share that take about the same time."""

    source: str
    n: int | None
    method: str
    adapter: str | None


UNKNOWN = Kind("unknown", None, "unknown", None)


class Glance(NamedTuple):
    """What is seen of a record."""

    key: str
    status: Literal["ok", "failed", "damaged", "newer"]
    kind: Kind = UNKNOWN
    seconds: float = 0.0
    """Wall time of the cell."""
    said: str = ""
    """Of a failed cell its cause, of a file that cannot be used what is wrong with it."""
    transient: bool = False
    cell: Fields | None = None
    """Of a failed cell."""

    @property
    def label(self) -> str:
        return label_of(self.cell or {})


def kind_of(cell: Fields) -> Kind:
    """The kind of a cell in its JSON form."""
    n, adapter = cell.get("n"), cell.get("adapter")
    return Kind(
        source=str(cell.get("source")),
        n=n if isinstance(n, int) else None,
        method=str(cell.get("method")),
        adapter=str(adapter.get("type")) if isinstance(adapter, dict) else None,
    )


def label_of(cell: Fields) -> str:
    """The label of a cell in its JSON form, or what can be said of one that is none of this version's."""
    try:
        return Cell.model_validate(cell).label
    except ValidationError:
        return " ".join(str(cell[name]) for name in ("source", "method") if name in cell) or "unknown cell"


def glances(folder: Path) -> dict[str, Glance]:
    """All records in a folder, which may be absent, by key, in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            paths = sorted(entry.path for entry in entries if entry.name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = (_read(Path(path)) for path in paths)
    return {record.key: record for record in found if record}


def _read(path: Path) -> Glance | None:
    """None of a file that was taken away in the meantime."""
    try:
        return _look(path.read_bytes(), path.stem)
    except FileNotFoundError:
        return None
    except NewerRecordError as error:
        return Glance(path.stem, "newer", said=str(error))
    except (OSError, ValueError) as error:
        return Glance(path.stem, "damaged", said=one_line(error))


def _look(content: bytes, stem: str) -> Glance:
    """
    Raises:
        NewerRecordError: the record's schema is of a later version.
        ValueError: it is cut off or was altered, or something that a summary needs is missing.
    """
    read = read_unaltered(content)
    if read.get("key") != stem:
        raise ValueError(f"file name and key {read.get('key')} differ: it was altered")
    cell, provenance, status = read.get("cell"), read.get("provenance"), read.get("status")
    if not isinstance(cell, dict) or not isinstance(provenance, dict) or status not in ("ok", "failed"):
        raise ValueError("it is no record: cell, provenance or status is missing")
    seconds = provenance.get("wall_seconds")
    return Glance(
        key=stem,
        status=status,
        kind=kind_of(cell),
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        said="" if status == "ok" else _cause(read.get("cause"), read.get("error")),
        transient=bool(read.get("transient")),
        cell=None if status == "ok" else cell,  # all of them are more than the garbage collector does in no time
    )


def _cause(cause: object, error: object) -> str:
    """The cause of a failure; of early records, which do not tell it, the last line of the traceback."""
    if cause:
        return str(cause)
    lines = str(error or "").strip().splitlines()
    return VARYING.sub("…", lines[-1].strip()) if lines else "not known"
