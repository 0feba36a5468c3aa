"""What is where in a run's directory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic_core import from_json

from ia2_eval.errors import UserError
from ia2_eval.experiments.ownership.processes import BEAT_SECONDS, Process, Processes, this_machine
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.upkeep.glance import Glance, Kind, glances, kind_of

WATCHED_BEATS = 3
"""Heartbeats that a living process of another machine shows at least one of."""

Life = Literal["alive", "ended", "silent", "not known"]
"""`ended`: certainly, on this machine. `silent`: no heartbeat while it was watched. `not known`: of another machine."""


class Seen(NamedTuple):
    """A process that is known in the directory."""

    process: Process
    life: Life

    @property
    def at_work(self) -> bool:
        """Whether it is a worker that lives as far as is known."""
        return self.process.role == "worker" and self.life in ("alive", "not known")


@dataclass(frozen=True)
class State:
    """A run's directory at one time."""

    directory: Path
    plan: Mapping[str, Kind] | None
    """Planned cells by key; None without a plan that can be read."""
    plan_fault: str | None
    records: Mapping[str, Glance]
    processes: tuple[Seen, ...]
    set_aside: int
    """Failed records that were set aside for another try."""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Of all cells: the planned ones, then recorded ones that no plan has."""
        return tuple(dict.fromkeys([*(self.plan or ()), *self.records]))

    @cached_property
    def running(self) -> tuple[str, ...]:
        """Cells that workers are at, as far as these are known to live."""
        at = {key for seen in self.processes if seen.at_work for key in seen.process.cells}
        return tuple(key for key in self.keys if key in at and self._status(key) in ("none", "failed", "damaged"))

    def having(self, status: Literal["ok", "failed", "damaged", "newer"]) -> tuple[Glance, ...]:
        """Records of cells that nobody is running now."""
        running = set(self.running)
        return tuple(each for each in self.records.values() if each.status == status and each.key not in running)

    @cached_property
    def left(self) -> tuple[str, ...]:
        """Cells without a record that counts, and that nobody is running now."""
        running = set(self.running)
        return tuple(key for key in self.keys if self._status(key) in ("none", "damaged") and key not in running)

    def kind(self, key: str) -> Kind:
        """What kind of cell it is; `UNKNOWN` where no more is there than a damaged record."""
        return self.plan[key] if self.plan and key in self.plan else self.records[key].kind

    def _status(self, key: str) -> str:
        return self.records[key].status if key in self.records else "none"


def read_state(directory: Path, *, watch: bool = False) -> State:
    """Look at a run's directory, whether or not something is going on there.

    Args:
        directory: of the run.
        watch: find out which processes of other machines are alive, which takes some seconds.

    Raises:
        UserError: it is no run's directory.
    """
    store = Store(directory)
    plan, fault = _read_plan(directory / "plan.json")
    if plan is None and fault is None and not any((directory / "records").glob("*.json")):
        raise UserError(
            f"{str(directory)!r} holds no records/*.json and no plan.json. Give the directory of a run: "
            "`ia2-eval run RECIPE.yaml --out DIR` writes one"
        )
    return State(
        directory=directory,
        processes=tuple(see(Processes(store.processes_path), watch)),  # before the records: what ends now is done then
        plan=plan,
        plan_fault=fault,
        records=glances(directory / "records"),
        set_aside=sum(1 for _ in (directory / "failed").glob("*.json")),
    )


def _read_plan(path: Path) -> tuple[dict[str, Kind] | None, str | None]:
    """The plan, or what is wrong with it; neither where there is none."""
    try:
        plan = from_json(path.read_bytes())
        if not isinstance(plan, dict) or not all(isinstance(cell, dict) for cell in plan.values()):
            raise ValueError("it is no plan")
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except ValueError as error:
        return None, str(error)
    return {key: kind_of(cell) for key, cell in plan.items()}, None


def see(processes: Processes, watch: bool = False) -> list[Seen]:
    """The processes known in a directory; those of other machines are watched if that is asked for."""
    found = {path.stem: processes.read(path.stem) for path in sorted(processes.directory.glob("*.json"))}
    first = {name: process for name, process in found.items() if process}
    gone = set(processes.gone())
    lives: dict[str, Life] = {
        name: "ended" if name in gone else "alive" if process.machine == this_machine() else "not known"
        for name, process in first.items()
    }
    if watch:
        _watch(processes, first, lives)
    return [Seen(process, lives[name]) for name, process in first.items() if name in lives]


def _watch(processes: Processes, first: Mapping[str, Process], lives: dict[str, Life]) -> None:
    """Find out about those of which nothing is known; one that goes in the meantime has no life any more."""
    deadline = time.monotonic() + WATCHED_BEATS * BEAT_SECONDS
    while "not known" in lives.values() and time.monotonic() < deadline:
        time.sleep(BEAT_SECONDS / 10)
        for name in [name for name, life in lives.items() if life == "not known"]:
            now = processes.read(name)
            if now is None:
                del lives[name]
            elif now.beat != first[name].beat:
                lives[name] = "alive"
    lives.update({name: "silent" for name, life in lives.items() if life == "not known"})
