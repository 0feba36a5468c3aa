"""`ia2-eval gc`: what it shows, what it deletes, and above all what it does not."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.ownership import processes as processes_module
from ia2_eval.experiments.ownership.processes import Processes
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import COMPLETE, Store
from ia2_eval.experiments.upkeep import gc as gc_module
from ia2_eval.experiments.upkeep.gc import collect_garbage
from ia2_eval.experiments.upkeep.leftovers import KINDS
from tests.experiments.small_stores import elsewhere, failed, small_records, small_store, working

STRANGER = "0123456789abcdef"
"""Key of a cell that nobody planned."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc_module, "SECONDS_TO_BEGIN", 0.0)


def collected(directory: Path, delete: bool = False, every_path: bool = False, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    collect_garbage(directory, console, delete=delete, every_path=every_path)
    return console.file.getvalue()  # type: ignore[attr-defined]


def tree(directory: Path) -> set[str]:
    """All files, and links."""
    found = (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(directory).as_posix() for path in found}


def put(store: Store, *paths: str) -> set[str]:
    for path in paths:
        place = store.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x" * 2048)
    return set(paths)


@pytest.fixture
def records() -> list[Record]:
    """Done, failed, and left."""
    records = small_records(3)
    return [records[0], failed(records[1]), records[2]]


@pytest.fixture
def store(records: list[Record], tmp_path: Path) -> Store:
    """With all that is of use, some of it looking as if it were of none."""
    store = small_store(tmp_path / "run", records, left=1)
    done, broken, planned = (record.key for record in records)
    put(store, *(f"{folder}/{key}/x" for folder in ("adapters", "samples") for key in (done, broken, planned)))
    put(store, f"failed/{broken}.1.json", f"failed/{planned}.1.json", "targets/a.safetensors", "recipe.yaml")
    put(store, "leaderboard.csv", "analysis/overlap.csv", "adapters/mine/x", "samples/notes.txt", "figures/a.tmp")
    put(store, "records/notes.txt", "notes.partial", ".hidden")
    store.clear_partial(processes_module.process_id())
    return store


GARBAGE: dict[str, Callable[[Store, Record], set[str]]] = {
    "unfinished files": lambda store, done: put(store, ".work/partial/host-1-a/adapters/x", ".work/partial/host-1-a/y"),
    "leases": lambda store, done: put(store, f".work/leases/{done.key}.1", f".work/leases/{STRANGER}.2"),
    "damaged": lambda store, done: put(store, f"records/{done.key}.json.damaged", f"adapters/{done.key}.damaged/x"),
    "failed records": lambda store, done: put(store, f"failed/{done.key}.1.json", f"failed/{done.key}.2.json"),
    "adapters": lambda store, done: put(store, f"adapters/{STRANGER}/x", f"adapters/{STRANGER}/y"),
    "samples": lambda store, done: put(store, f"samples/{STRANGER}/sst2.jsonl"),
    "temporary files": lambda store, done: put(
        store, f"records/.{done.key}.json.77.tmp", "targets/a.77.partial", ".plan.json.7.tmp", "adapters.partial/a/x"
    ),
}


def test_nothing_to_delete(store: Store) -> None:
    before = tree(store.directory)
    assert collected(store.directory) == f"{store.directory}: nothing that could be deleted\n"
    assert collected(store.directory, delete=True) == f"{store.directory}: nothing that could be deleted\n"
    assert tree(store.directory) == before


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_kind_is_shown_then_deleted_and_nothing_else(kind: str, store: Store, records: list[Record]) -> None:
    before = tree(store.directory)
    garbage = GARBAGE[kind](store, records[0])
    assert not garbage & before
    text = collected(store.directory)
    assert re.search(rf"^{kind} +\d+ +[\d.]+ KiB  {re.escape(KINDS[kind][0])}", text, re.MULTILINE)
    assert f"{2 * len(garbage)} KiB\n" in re.sub(" +\n", "\n", text) and "nothing is deleted yet" in text
    assert tree(store.directory) == before | garbage
    assert re.search(r"^\d+ paths? deleted$", collected(store.directory, delete=True), re.MULTILINE)
    assert tree(store.directory) == before


def test_everything_at_once(store: Store, records: list[Record]) -> None:
    before = tree(store.directory)
    for put_garbage in GARBAGE.values():
        put_garbage(store, records[0])
    kinds = [line.split("  ")[0] for line in collected(store.directory).splitlines() if line[0] != " "]
    assert kinds[: len(GARBAGE)] == list(GARBAGE)
    collected(store.directory, delete=True)
    assert tree(store.directory) == before and not store.work_path.exists()


def test_targets_go_when_every_planned_cell_is_done(store: Store, records: list[Record]) -> None:
    store.write_record(small_records(3)[1])
    assert "what the teacher gave" not in collected(store.directory)
    store.write_record(records[2])
    assert re.search(r"^targets +1 +2 KiB  what the teacher gave", collected(store.directory), re.MULTILINE)
    collected(store.directory, delete=True)
    assert not store.targets_path.exists() and not (store.directory / "failed" / f"{records[1].key}.1.json").exists()
    assert tree(store.directory / "adapters") == {f"{record.key}/x" for record in records} | {"mine/x"}


def test_what_a_killed_process_left(store: Store, records: list[Record]) -> None:
    """Its adapters, if they are whole, are put in place instead; one of them has no cell, and goes from there."""
    before = tree(store.directory)
    with working(store.directory, records[2].key) as process:
        (own,) = store.work_path.glob("partial/*-*")
        living = tree(store.directory) - before
        assert len(living) == 3
        assert "nothing that could be deleted" in collected(store.directory)
        with pytest.raises(UserError, match=rf"a worker works there \(.*, process {process.pid}\); delete when it has"):
            collected(store.directory, delete=True)
        assert tree(store.directory) == before | living
    put(store, f".work/partial/{own.name}/{COMPLETE}/{records[2].key}/y")
    (store.adapter_path(records[2].key) / "x").unlink()
    store.adapter_path(records[2].key).rmdir()
    text = collected(store.directory)
    assert all(f"\n{kind} " in "\n" + text for kind in ("unfinished files", "heartbeats", "leases"))
    assert COMPLETE not in text
    collected(store.directory, delete=True)
    adapter = f"adapters/{records[2].key}"
    assert tree(store.directory) == before - {f"{adapter}/x"} | {f"{adapter}/y"}


def test_processes_of_other_machines_are_watched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(store.directory)
    elsewhere(store, "dead")
    put(store, ".work/partial/dead/half")
    text = collected(store.directory)
    assert "nothing that could" in text and "1 worker or driver of other machines may be alive: --delete" in text
    alive = elsewhere(store, "alive")
    monkeypatch.setattr(Processes.__init__, "__defaults__", (0.2,))
    sleep = time.sleep

    def beat(seconds: float) -> None:
        now = alive.model_copy(update={"beat": 8})
        Processes(store.processes_path).path("alive").write_text(now.model_dump_json())
        sleep(seconds)

    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"a worker works there \(node-7, process 1\)"):
        patch.setattr(time, "sleep", beat)
        collected(store.directory, delete=True)
    assert len(tree(store.directory)) == len(before) + 3
    text = collected(store.directory, delete=True)  # it beats no more
    assert "whether processes on node-7 are alive" in text and tree(store.directory) == before
    assert re.search(r"^heartbeats +2 ", text, re.MULTILINE) and "3 paths deleted" in text


def test_a_run_is_kept_out_meanwhile(store: Store, records: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    GARBAGE["samples"](store, records[0])
    refused: list[str] = []

    def remove(path: Path) -> None:
        with pytest.raises(AssertionError), working(store.directory):
            pass
        refused.append(path.name)

    monkeypatch.setattr(gc_module, "_remove", remove)
    collected(store.directory, delete=True)
    assert refused == [STRANGER]


def test_links_are_not_followed(store: Store, records: list[Record], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(Store(outside), f"{STRANGER}/x", f"{STRANGER}.damaged/y", "a.jsonl")
    (store.directory / "adapters" / STRANGER).symlink_to(outside)
    (store.directory / "adapters" / f"{STRANGER}.damaged").symlink_to(outside)
    for path in (store.directory / "samples").rglob("*"):
        if path.is_file():
            path.unlink()
    (store.directory / "samples").rename(store.directory / "samples.old")
    (store.directory / "samples").symlink_to(outside)
    put(store, f"adapters/{'f' * 16}/x")
    (store.directory / "adapters" / ("f" * 16) / "link").symlink_to(outside)
    before = tree(outside)
    assert re.search(r"^in all +1 +2 KiB", collected(store.directory), re.MULTILINE)
    collected(store.directory, delete=True)
    assert tree(outside) == before and (store.directory / "adapters" / STRANGER).is_symlink()
    assert not (store.directory / "adapters" / ("f" * 16)).exists()


@pytest.mark.parametrize("plan", [None, "{"])
def test_without_a_plan_nothing_is_a_stranger(plan: str | None, store: Store, records: list[Record]) -> None:
    (store.directory / "plan.json").unlink()
    if plan:
        (store.directory / "plan.json").write_text(plan)
    GARBAGE["adapters"](store, records[0])
    before = tree(store.directory)
    assert "adapters and samples without a record are left alone" in collected(store.directory)
    collected(store.directory, delete=True)
    assert tree(store.directory) == before


@pytest.mark.parametrize("width", [80, 120])
def test_few_paths_of_many_unless_all_are_asked_for(width: int, store: Store) -> None:
    names = sorted(put(store, *(f"samples/{number:016x}/a.jsonl" for number in range(8))))
    text = collected(store.directory, width=width)
    assert text.count("samples/0000") == 3 and "... (--paths shows all)" in text
    every = collected(store.directory, every_path=True, width=width)
    assert every.count("samples/0000") == 8 and all(name.rpartition("/")[0] in every for name in names)
    assert max(len(line) for line in every.splitlines() if "gc" not in line) <= width


def test_no_run(tmp_path: Path) -> None:
    for delete in (False, True):
        with pytest.raises(UserError, match="holds no records"):
            collected(tmp_path, delete)
    assert list(tmp_path.iterdir()) == []
