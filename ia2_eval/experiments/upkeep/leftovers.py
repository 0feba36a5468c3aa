"""What is of no use any more in a run's directory. Symbolic links are neither followed nor named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ia2_eval.experiments.store import COMPLETE, Store
from ia2_eval.experiments.upkeep.state import State

KEY = re.compile(r"[0-9a-f]{16}")
TEMPORARY = re.compile(r"\..*\.\d+\.tmp|.*\.[0-9a-f]+\.partial")
"""What a file is called while it is written."""
EARLIER_STAGES = ("adapters.partial", "adapters.complete")
"""Where earlier versions had adapters on their way to their places."""


class Leftover(NamedTuple):
    """A file or folder that is of no use."""

    kind: str
    path: Path
    size: int
    """Bytes; of a folder, with all that is in it."""


def find_leftovers(state: State, living: Collection[str]) -> list[Leftover]:
    """All of them, kind by kind.

    Args:
        state: of the directory.
        living: names of processes that may be alive; what is theirs is left alone.
    """
    return [
        Leftover(kind, path, size_of(path)) for kind, (_, find) in KINDS.items() for path in sorted(find(state, living))
    ]


def entries(folder: Path) -> Iterator[Path]:
    """Files and folders in a folder; nothing where it is absent, or a symbolic link itself."""
    if folder.is_dir() and not folder.is_symlink():
        with os.scandir(folder) as found:
            yield from (Path(entry.path) for entry in found if not entry.is_symlink())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what goes in the meantime has none."""
    try:
        return sum(map(size_of, entries(path))) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return 0


def _unfinished(state: State, living: Collection[str]) -> Iterator[Path]:
    for folder in entries(Store(state.directory).work_path / "partial"):
        if folder.name in living:
            continue
        inside = list(entries(folder))
        # Whole adapters are of use: whoever works here next puts them in their places.
        if folder / COMPLETE in inside:
            yield from (path for path in inside if path.name != COMPLETE)
        else:
            yield folder


def _processes(state: State, living: Collection[str]) -> Iterator[Path]:
    yield from (path for path in entries(Store(state.directory).processes_path) if path.stem not in living)


def _leases(state: State, living: Collection[str]) -> Iterator[Path]:
    done = _done(state)
    for path in entries(Store(state.directory).leases_path):
        try:
            owner = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue  # given up in the meantime
        nameless = not owner and living  # just being made, perhaps
        if path.stem in done or not (nameless or owner in living):
            yield path


def _damaged(state: State, living: Collection[str]) -> Iterator[Path]:
    for folder in ("records", "adapters"):
        yield from (path for path in entries(state.directory / folder) if path.suffix == ".damaged")


def _tried(state: State, living: Collection[str]) -> Iterator[Path]:
    done = _done(state)
    for path in entries(state.directory / "failed"):
        if path.suffix == ".json" and path.name.partition(".")[0] in done:
            yield path


def _targets(state: State, living: Collection[str]) -> Iterator[Path]:
    folder = Store(state.directory).targets_path
    if state.plan and state.plan.keys() <= _done(state) and next(entries(folder), None):
        yield folder


def _adapters(state: State, living: Collection[str]) -> Iterator[Path]:
    return _of_no_cell(state, "adapters")


def _samples(state: State, living: Collection[str]) -> Iterator[Path]:
    return _of_no_cell(state, "samples")


def _of_no_cell(state: State, folder: str) -> Iterator[Path]:
    if state.plan is None:  # what is planned is not known
        return
    tried = {path.name.partition(".")[0] for path in entries(state.directory / "failed")}
    known = state.plan.keys() | state.records.keys() | tried
    for path in entries(state.directory / folder):
        if KEY.fullmatch(path.name) and path.name not in known:
            yield path


def _temporary(state: State, living: Collection[str]) -> Iterator[Path]:
    store = Store(state.directory)
    folders = [state.directory / name for name in ("", "records", "failed")]
    for folder in (*folders, store.targets_path, *entries(state.directory / "samples"), store.processes_path):
        yield from (path for path in entries(folder) if TEMPORARY.fullmatch(path.name) and path.is_file())
    yield from (path for path in entries(state.directory) if path.name in EARLIER_STAGES)


def _done(state: State) -> set[str]:
    return {key for key, record in state.records.items() if record.status == "ok"}


KINDS: dict[str, tuple[str, Callable[[State, Collection[str]], Iterator[Path]]]] = {
    "unfinished files": ("of processes that have ended", _unfinished),
    "heartbeats": ("of processes that have ended", _processes),
    "leases": ("of cells that are done, or of processes that have ended", _leases),
    "damaged": ("records and adapters that were set aside, as they could not be used", _damaged),
    "failed records": ("earlier attempts at cells that are done by now", _tried),
    "targets": ("what the teacher gave: every planned cell is done", _targets),
    "adapters": ("neither recorded nor planned", _adapters),
    "samples": ("neither recorded nor planned", _samples),
    "temporary files": ("of processes that were killed while they wrote", _temporary),
}
"""Kinds of leftovers: why they are of no use, and how they are found."""
