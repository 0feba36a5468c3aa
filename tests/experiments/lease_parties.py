"""Several processes with leases in one directory, played by one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ia2_eval.experiments.ownership import leases as leases_module
from ia2_eval.experiments.ownership.leases import Leases
from ia2_eval.experiments.ownership.processes import Processes


class Mortal(Processes):
    """Processes of which the test says who is dead; it may be mistaken, as with a machine that sleeps."""

    def __init__(self, directory: Path, dead: set[str]) -> None:
        super().__init__(directory)
        self.dead = dead

    def is_dead(self, name: str) -> bool:
        return name in self.dead


class Parties:
    """All of them; calling it with a name is to be that process from now on."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.dead, self.playing = directory, set[str](), threading.local()
        self.leases: dict[str, Leases] = {}
        monkeypatch.setattr(leases_module, "process_id", lambda: self.playing.name)

    def __call__(self, name: str) -> Leases:
        self.playing.name = name
        return self.leases.setdefault(name, Leases(self.directory, Mortal(self.directory, self.dead)))

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.directory.glob("*")}
