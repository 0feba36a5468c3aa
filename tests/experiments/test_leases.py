from __future__ import annotations

import fcntl
import time
from pathlib import Path

import pytest

from ia2_eval.experiments.ownership.processes import Process
from tests.experiments.lease_parties import Parties


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


def test_deaths_are_counted_of_those_who_said_that_they_ran_the_cell(parties: Parties) -> None:
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
