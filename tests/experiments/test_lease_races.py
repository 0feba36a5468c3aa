"""Processes that want the same cell at the same time: played ones, step by step in many orders, and real ones."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.lease_parties import Parties


class Schedule:
    """Lets threads run one at a time, and draws who goes on after each step."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._turns: dict[str, threading.Semaphore] = {}

    def step(self, name: str | None) -> None:
        """Let whoever is drawn go on, which may be the caller; others than its threads are not held up."""
        if name in self._turns:
            self._next()
            self._turns[name].acquire()

    def _next(self) -> None:
        self._turns[self._draw.choice(sorted(self._turns))].release()

    def run(self, actors: dict[str, Callable[[], None]]) -> None:
        """Run these to their ends."""
        failures: list[BaseException] = []

        def play(name: str, actor: Callable[[], None]) -> None:
            self._turns[name].acquire()
            try:
                actor()
            except BaseException as error:
                failures.append(error)
            del self._turns[name]
            if self._turns:
                self._next()

        self._turns = {name: threading.Semaphore(0) for name in actors}
        threads = [threading.Thread(target=play, args=item) for item in actors.items()]
        for thread in threads:
            thread.start()
        self._next()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


Fate = str
"""Of whoever runs the cell first: `done`, `released` without a result, or `slept` and was taken for dead."""


class Race:
    """Processes that want to run one cell, whose first owner has died."""

    def __init__(self, parties: Parties, fate: Fate, seed: int) -> None:
        self.parties, self.fate, self.seed = parties, fate, seed
        self.schedule = Schedule(seed)
        self.done = 0
        self.running: set[str] = set()
        self.fated: str | None = None
        """Who ran the cell first."""

    def worker(self, name: str) -> None:
        """What a worker does, in short."""
        leases = self.parties(name)
        for _ in range(60):
            if self.done:
                return
            if leases.acquire(["x"]):
                if self.done:  # between the look and the lease
                    leases.forget("x")
                    return
                self.run(name)

    def run(self, name: str) -> None:
        leases = self.parties(name)
        others = self.running - self.parties.dead
        assert not others, f"{others} and {name} run the cell with seed {self.seed}"
        first, self.fated = self.fated is None, self.fated or name
        self.running.add(name)
        self.schedule.step(name)
        if first and self.fate == "slept":
            self.parties.dead.add(name)
            for _ in range(12):
                self.schedule.step(name)
            self.running.discard(name)
            self.parties.dead.discard(name)
            return
        self.running.discard(name)
        if not leases.holds("x"):
            assert (self.fate, self.fated) == ("slept", name), "only who slept may find itself robbed"
        elif first and self.fate == "released":
            leases.release("x")
        else:
            self.done += 1
            leases.forget("x")


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Parties, list[Schedule]]]:
    """Processes whose every operation on files is a step of the schedule in the list, if there is one."""
    parties, schedules = Parties(tmp_path / "leases", monkeypatch), list[Schedule]()

    def stepping(operation: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            for schedule in schedules:
                schedule.step(getattr(parties.playing, "name", None))
            return operation(*arguments, **named)

        return step

    with monkeypatch.context() as patch:
        for owner, name in ((os, "open"), (os, "fdopen"), (Path, "read_text"), (Path, "exists"), (Path, "unlink")):
            patch.setattr(owner, name, stepping(getattr(owner, name)))
        yield parties, schedules


@pytest.mark.parametrize("fate", ["done", "released", "slept"])
def test_whatever_the_order_of_steps_one_living_process_runs_a_cell(
    fate: Fate, stepped: tuple[Parties, list[Schedule]]
) -> None:
    """At no time do two run it, and in the end it has been run to completion once."""
    parties, schedules = stepped
    for seed in range(250):
        parties.leases.clear()
        parties.dead.clear()
        assert parties("first").acquire(["x"])
        parties.dead.add("first")
        race = Race(parties, fate, seed)
        schedules.append(race.schedule)
        race.schedule.run({name: partial(race.worker, name) for name in ("a", "b", "c")})
        schedules.clear()
        assert race.done == 1, f"seed {seed}"
        for left in parties.directory.glob("*"):
            left.unlink()


RACER = """
import os, random, sys, time
from pathlib import Path
from ia2_eval.experiments.ownership.leases import Leases
from ia2_eval.experiments.ownership.processes import Presence, Processes, process_id

root, keys = Path(sys.argv[1]), [f"k{i}" for i in range(6)]
log = os.open(root / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
say = lambda *words: os.write(log, (" ".join((process_id(), *words)) + "\\n").encode())
processes = Processes(root / "processes")
leases = Leases(root / "leases", processes)
with Presence(processes, "worker", root / "partial" / process_id()).beating():
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        some = random.sample(keys, 2)
        if leases.acquire(some):
            say("takes", *some)
            time.sleep(random.random() * 0.01)
            say("leaves", *some)
            for key in some:
                random.choice((leases.release, leases.forget))(key)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_that_race_and_are_killed_never_share_a_cell(tmp_path: Path) -> None:
    for folder in ("processes", "leases"):
        (tmp_path / folder).mkdir()
    draw = random.Random(0)
    begun = time.monotonic()

    def racer() -> subprocess.Popen[bytes]:
        left = max(0.1, 5 - (time.monotonic() - begun))
        return subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), str(left)], stdin=subprocess.DEVNULL)

    racers = [racer() for _ in range(4)]
    killed = 0
    while time.monotonic() - begun < 4.5:
        time.sleep(0.25)
        if (tmp_path / "log").exists() and len(list((tmp_path / "processes").glob("*"))) > killed + 2:
            victim = draw.randrange(len(racers))
            racers[victim].send_signal(signal.SIGKILL)
            racers[victim].wait()
            racers[victim] = racer()
            killed += 1
    assert [process.wait(timeout=60) for process in racers] == [0] * len(racers)
    owner: dict[str, str] = {}
    robbed: set[str] = set()
    taken = 0
    for line in (tmp_path / "log").read_text().splitlines():
        name, verb, *keys = line.split()
        assert name not in robbed, f"{name} worked on after others had taken its cells"
        for key in keys:
            if verb == "takes":
                taken += 1
                if before := owner.get(key):
                    robbed.add(before)
                owner[key] = name
            else:
                assert owner.pop(key) == name
    assert killed >= 2 and taken > 100 and len(robbed) <= killed
