"""Leases: a worker's right to a cell, so that no two ever both run it.

The lease of a cell is a file `<key>.<generation>` with the name of its owner. The file system lets one process only
create it (`O_EXCL`, which NFS honours), and none but its owner takes it away before the cell is done. Where an owner
died, its file stays, and the cell belongs to whoever creates the next generation: of several that find an owner dead,
one succeeds. A lease ends with its process, so nothing has to be released in a hurry.

An owner that was taken for dead and was not, such as a machine that slept, finds a generation after its own, keeps its
record to itself, and stands back. Files go in any order when a cell is done, or given up by an owner that slept; so
whoever makes a lease looks at its neighbours once more before it counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from ia2_eval.experiments.ownership.processes import Processes, process_id


class Leases:
    """The leases in a directory, as this process sees and takes them."""

    def __init__(self, directory: Path, processes: Processes) -> None:
        self.directory = directory
        self._processes = processes
        self._held: dict[str, int] = {}  # key -> generation
        self._nameless: dict[tuple[str, int], float] = {}  # key and generation -> since when

    def acquire(self, keys: Sequence[str]) -> bool:
        """Take the leases of all these cells, or of none if a living process has one of them."""
        taken: list[str] = []
        for key in keys:
            if self.holds(key):
                continue
            if not self._take(key):
                for other in taken:
                    self.release(other)
                return False
            taken.append(key)
        return True

    def _take(self, key: str) -> bool:
        self._held.pop(key, None)  # it was taken for dead
        for generation in count(1):
            if self._create(key, generation):
                if self._is_last(key, generation) and self._is_over(key, generation - 1):
                    self._held[key] = generation
                    return True
                self._path(key, generation).unlink(missing_ok=True)
                if self._is_last(key, generation):
                    return False
            elif self._is_last(key, generation):
                if self._owner(key, generation) == process_id():  # of an earlier run of this process
                    self._held[key] = generation
                    return True
                if not self._is_over(key, generation):
                    return False
        raise AssertionError("there is always a next generation")

    def _is_last(self, key: str, generation: int) -> bool:
        return not self._path(key, generation + 1).exists()

    def _is_over(self, key: str, generation: int) -> bool:
        """Whether there is such a lease, and its owner dead; before the first there is nothing to be over."""
        owner = self._owner(key, generation)
        if owner == "":
            return self._stays_nameless(key, generation)
        return generation == 0 or (owner is not None and self._processes.is_dead(owner))

    def _create(self, key: str, generation: int) -> bool:
        try:
            file = os.open(self._path(key, generation), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        except FileNotFoundError:
            self.directory.mkdir(parents=True, exist_ok=True)
            return self._create(key, generation)
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            opened.write(process_id())
        return True

    def _stays_nameless(self, key: str, generation: int) -> bool:
        """Whether a creator must have died before it wrote its name, which takes a moment."""
        since = self._nameless.setdefault((key, generation), time.monotonic())
        return time.monotonic() - since > self._processes.patience

    def _path(self, key: str, generation: int) -> Path:
        return self.directory / f"{key}.{generation}"

    def _owner(self, key: str, generation: int) -> str | None:
        """Name of the owner; None where there is no such lease."""
        try:
            return self._path(key, generation).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def holds(self, key: str) -> bool:
        """Whether this process is the owner, and was not taken for dead."""
        generation = self._held.get(key)
        return (
            generation is not None and self._owner(key, generation) == process_id() and self._is_last(key, generation)
        )

    def deaths(self, key: str) -> int:
        """How many processes died while they ran this cell, by what they last said of themselves."""
        owners = (self._owner(key, generation) for generation in range(1, self._held[key]))
        processes = (self._processes.read(owner) for owner in owners if owner)
        return sum(process is not None and key in process.cells for process in processes)

    def release(self, key: str) -> None:
        """Give up an own lease; those of dead processes stay, and so does one that was taken over."""
        generation = self._held.pop(key)
        if self._is_last(key, generation):
            self._path(key, generation).unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove all leases of a cell that is done, or that nobody owns; whoever takes it will look at its record."""
        self._held.pop(key, None)
        for generation in count(1):
            try:
                self._path(key, generation).unlink()
            except FileNotFoundError:
                return
