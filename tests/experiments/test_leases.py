from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    """Several processes with leases in one directory, played by one."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.dead, self.playing = directory, set[str](), threading.local()
        self._leases: dict[str, Leases] = {}
        monkeypatch.setattr(leases_module, "process_id", lambda: self.playing.name)

    def __call__(self, name: str) -> Leases:
        """Be this process from now on."""
        self.playing.name = name
        return self._leases.setdefault(name, Leases(self.directory, Mortal(self.directory, self.dead)))

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.directory.glob("*")}


@pytest.fixture
def parties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parties:
    return Parties(tmp_path / "leases", monkeypatch)


def test_a_cell_belongs_to_one_process_until_it_lets_go(parties: Parties) -> None:
    assert parties("a").acquire(["x", "y"])
    assert parties("a").acquire(["y", "x"]), "its own already"
    assert not parties("b").acquire(["x"])
    assert not parties("b").holds("x")
    parties("a").release("x")
    assert not parties("a").holds("x") and parties("a").holds("y")
    assert parties("b").acquire(["x"]) and parties("b").holds("x")
    assert parties.files() == {"x.1": "b", "y.1": "a"}


def test_all_of_a_group_or_none(parties: Parties) -> None:
    assert parties("a").acquire(["y"])
    assert parties("b").acquire(["w"])
    assert not parties("b").acquire(["w", "x", "y", "z"])
    assert parties.files() == {"y.1": "a", "w.1": "b"}, "what it had before stays"


def test_of_several_that_find_an_owner_dead_one_takes_over(parties: Parties) -> None:
    parties("a").acquire(["x"])
    parties.dead.add("a")
    assert parties("b").acquire(["x"])
    assert not parties("c").acquire(["x"])
    parties.dead.add("b")
    assert parties("c").acquire(["x"])
    assert parties.files() == {"x.1": "a", "x.2": "b", "x.3": "c"}
    parties("c").forget("x")
    assert parties.files() == {} and not parties("c").holds("x")
    assert parties("d").acquire(["x"])


def test_an_owner_that_was_taken_for_dead_stands_back(parties: Parties) -> None:
    parties("a").acquire(["x"])
    parties.dead.add("a")
    parties("b").acquire(["x"])
    parties.dead.clear()
    assert not parties("a").holds("x")
    assert not parties("a").acquire(["x"]), "b works on it"
    assert parties("b").holds("x")
    parties.dead.add("b")
    assert parties("a").acquire(["x"]), "from b"
    assert parties("a").holds("x") and not parties("b").holds("x")


def test_letting_go_of_what_was_taken_over_harms_nobody(parties: Parties) -> None:
    parties("a").acquire(["x"])
    parties.dead.add("a")
    parties("b").acquire(["x"])
    parties.dead.clear()
    parties("a").release("x")
    assert not parties("c").acquire(["x"])
    assert parties("b").holds("x")


def test_a_file_that_is_missing_before_others_harms_nobody(parties: Parties) -> None:
    """Should an owner that slept take its file away at the very moment at which it is taken over."""
    parties("a").acquire(["x"])
    parties.dead.add("a")
    parties("b").acquire(["x"])
    (parties.directory / "x.1").unlink()
    assert not parties("c").acquire(["x"]) and parties("b").holds("x")
    parties.dead.add("b")
    assert parties("c").acquire(["x"]) and parties("c").holds("x")
    assert parties.files() == {"x.2": "b", "x.3": "c"}


def test_a_lease_whose_owner_died_before_it_wrote_its_name(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    parties.directory.mkdir()
    (parties.directory / "x.1").touch()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not parties("a").acquire(["x"]), "its owner may be about to write it"
    now += 59
    assert not parties("a").acquire(["x"])
    now += 2
    assert not parties("b").acquire(["x"]), "who sees it for the first time"
    assert parties("a").acquire(["x"])
    assert parties.files() == {"x.1": "", "x.2": "a"}


def test_deaths_are_counted_of_those_who_said_that_they_ran_the_cell(parties: Parties, tmp_path: Path) -> None:
    from ia2_eval.experiments.ownership.processes import Process

    def dies(name: str, *cells: str) -> None:
        process = Process(id=name, role="worker", host="h", machine="h", pid=1, cells=cells)
        (parties.directory / f"{name}.json").write_text(process.model_dump_json())
        parties.dead.add(name)

    for name, cells in (("a", ("x", "y")), ("b", ()), ("c", ("x",)), ("d", ("z",))):
        assert parties(name).acquire(["x"])
        dies(name, *cells)
    assert parties("e").acquire(["x"])
    assert parties("e").deaths("x") == 2
    assert parties("e").acquire(["y"]) and parties("e").deaths("y") == 0


def test_nothing_rests_on_locks(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks on this file system")

    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, no_locks)
    assert parties("a").acquire(["x"]) and not parties("b").acquire(["x"])
    parties.dead.add("a")
    assert parties("b").acquire(["x"])


# What follows runs the same code step by step: after every look at the file system another process may go on.


class Schedule:
    """Lets threads run one at a time, and draws who goes on after each step."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.turns: dict[str, threading.Semaphore] = {}
        self.ended = threading.Event()

    def step(self, name: str | None) -> None:
        if name in self.turns:
            self._next()
            self.turns[name].acquire()

    def _next(self) -> None:
        self.turns[self.draw.choice(sorted(self.turns))].release()

    def run(self, actors: dict[str, Callable[[], None]]) -> None:
        failures: list[BaseException] = []

        def play(name: str, actor: Callable[[], None]) -> None:
            self.turns[name].acquire()
            try:
                actor()
            except BaseException as error:
                failures.append(error)
            del self.turns[name]
            if self.turns:
                self._next()

        self.turns = {name: threading.Semaphore(0) for name in actors}
        threads = [threading.Thread(target=play, args=item) for item in actors.items()]
        for thread in threads:
            thread.start()
        self._next()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


@pytest.fixture
def steps(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Schedule | None], None]]:
    """Makes every operation of leases on files a step of a schedule."""
    schedule: Schedule | None = None

    def stepping(operation: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            if schedule:
                schedule.step(getattr(parties.playing, "name", None))
            return operation(*arguments, **named)

        return stepped

    def use(new: Schedule | None) -> None:
        nonlocal schedule
        schedule = new

    with monkeypatch.context() as patch:
        for owner, name in ((os, "open"), (os, "fdopen"), (Path, "read_text"), (Path, "exists"), (Path, "unlink")):
            patch.setattr(owner, name, stepping(getattr(owner, name)))
        yield use


@pytest.mark.parametrize("fate", ["done", "released", "slept"])
def test_whatever_the_order_of_steps_one_living_process_runs_a_cell(
    fate: str, parties: Parties, steps: Callable[[Schedule | None], None]
) -> None:
    """The owner has died, and three find out: at no time do two run the cell, and in the end one has run it."""
    for seed in range(250):
        schedule = Schedule(seed)
        done: list[str] = []
        running: set[str] = set()
        once: set[str] = set()

        def worker(name: str) -> None:
            own = parties(name)
            for _ in range(60):
                if "x" in done:
                    return
                if not own.acquire(["x"]):
                    continue
                if "x" in done:
                    own.forget("x")
                    return
                assert not running - parties.dead, f"{running} and {name} with seed {seed}"
                running.add(name)
                schedule.step(name)
                if fate == "slept" and not once:
                    once.add(name)
                    parties.dead.add(name)  # it is taken for dead, and some steps later it goes on
                    for _ in range(12):
                        schedule.step(name)
                    running.discard(name)
                    parties.dead.discard(name)
                    continue
                running.discard(name)
                if not own.holds("x"):
                    assert once == {name}, "only who slept may find itself robbed"
                    continue
                if fate == "released" and name not in once:
                    once.add(name)
                    own.release("x")
                    continue
                done.append("x")
                own.forget("x")

        steps(None)
        parties._leases.clear()
        parties.dead.clear()
        assert parties("first").acquire(["x"])
        parties.dead.add("first")
        steps(schedule)
        schedule.run({name: lambda name=name: worker(name) for name in ("a", "b", "c")})
        steps(None)
        assert done == ["x"], f"seed {seed}"
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
