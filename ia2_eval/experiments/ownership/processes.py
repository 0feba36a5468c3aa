"""The processes that work in a run's directory, each with a heartbeat, and whether they are alive.

No clock is compared with another, and none that can be set is read: machines disagree, and clocks jump. A process is
dead if it took its file away; if it ran on this very machine, where it is not running any more; or if its heartbeat has
not changed for `PATIENCE` seconds while this process was watching. Nothing rests on locks, which NFS may not have.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal
from zlib import crc32

from pydantic import ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen

BEAT_SECONDS = 5.0
PATIENCE = 60.0
"""Twelve beats: a file server may be slow, and one process too many in a cell is worse than a minute's wait."""

Role = Literal["driver", "worker", "rescore", "gc"]


class Process(Frozen):
    """What a process writes into its file at every beat."""

    id: str
    role: Role
    host: str
    machine: str
    """Same for processes that see each other's process numbers."""
    pid: int
    beat: int = 0
    doing: str = ""
    cells: tuple[str, ...] = ()
    """Keys of the cells that would not be finished if it died now."""


@cache
def this_machine() -> str:
    """This host since it was started and, in a container, the container."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # no Linux
    return " ".join(parts)


@cache
def _id_of(pid: int) -> str:
    return f"{socket.gethostname().split('.')[0]}-{pid}-{secrets.token_hex(3)}"


def process_id() -> str:
    """Names this process among all that ever work in a directory, on whichever machine."""
    return _id_of(os.getpid())


def ended_here(name: str) -> bool:
    """Whether this host has no such process any more, by its name alone: one that was killed before its first heartbeat
    left no more than that."""
    import psutil

    host, _, number = name.rpartition("-")[0].rpartition("-")
    return host == _id_of(0).rpartition("-0-")[0] and number.isdecimal() and not psutil.pid_exists(int(number))


class Processes:
    """Those that are known in a directory, as this process sees them."""

    def __init__(self, directory: Path, patience: float = PATIENCE) -> None:
        self.directory = directory
        self.patience = patience
        self._seen: dict[str, tuple[int, float]] = {}  # beat and since when it has been that, on a monotonic clock

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    def read(self, name: str) -> Process | None:
        """What a process last said of itself; None once its file is gone.

        One of another version may say what is not understood: it lives as long as it says something new.
        """
        try:
            content = self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Process.model_validate_json(content)
        except ValidationError:
            return Process(id=name, role="worker", host="unknown", machine="unknown", pid=0, beat=crc32(content))

    def is_dead(self, name: str) -> bool:
        process = self.read(name)
        return process is None or _is_gone(process) or self._is_silent(process)

    def _is_silent(self, process: Process) -> bool:
        now = time.monotonic()
        beat, since = self._seen.get(process.id, (-1, now))
        if beat != process.beat:
            self._seen[process.id] = process.beat, now
            return False
        return now - since > self.patience

    def living(self) -> list[Process]:
        """All but this process; silent ones count until they have been watched for long enough."""
        found = [self.read(path.stem) for path in sorted(self.directory.glob("*.json"))]
        others = [process for process in found if process and process.id != process_id()]
        return [process for process in others if not _is_gone(process) and not self._is_silent(process)]

    def gone(self) -> list[str]:
        """Names of those that certainly do not run any more, though their files are there."""
        found = [self.read(path.stem) for path in sorted(self.directory.glob("*.json"))]
        return [process.id for process in found if process and _is_gone(process)]


def _is_gone(process: Process) -> bool:
    """Whether a process of this machine has ended; of other machines this cannot be said."""
    if process.machine != this_machine():
        return False
    import psutil

    try:
        return bool(psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Presence:
    """This process in a directory, its heart beating in a thread of its own."""

    def __init__(self, processes: Processes, role: Role, scratch: Path) -> None:
        """
        Args:
            processes: of the directory.
            role: of this process.
            scratch: a folder of this process, for temporary files.
        """
        self._path, self._scratch = processes.path(process_id()), scratch
        self._process = Process(
            id=process_id(), role=role, host=socket.gethostname(), machine=this_machine(), pid=os.getpid()
        )
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        return self._process.id

    def doing(self, what: str, cells: Sequence[str] | None = None) -> None:
        """Say what is being done now; at once where the cells are others than before, else with the next beat."""
        with self._lock:
            others = cells is not None and tuple(cells) != self._process.cells
            kept = self._process.cells if cells is None else tuple(cells)
            self._process = self._process.model_copy(update={"doing": what, "cells": kept})
        if others:
            with suppress(OSError):  # the next beat may come through
                self.beat()

    def beat(self) -> None:
        with self._lock:
            self._process = self._process.model_copy(update={"beat": self._process.beat + 1})
            write_atomically(self._path, self._process.model_dump_json().encode(), self._scratch)

    def end(self) -> None:
        self._path.unlink(missing_ok=True)

    @contextmanager
    def beating(self) -> Iterator[Presence]:
        """Be known within the context.

        Raises:
            UserError: the directory cannot be written to.
        """
        ended = threading.Event()

        def keep_beating() -> None:
            while not ended.wait(BEAT_SECONDS):
                with suppress(OSError):  # a full disk, or a file server that is away
                    self.beat()

        try:
            try:
                self.beat()
            except FileNotFoundError:  # a process that ended just now removed the folder, which was empty
                self.beat()
        except OSError as error:
            raise UserError(f"cannot write to {str(self._path.parent)!r}: {error}") from error
        thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
            self.end()
