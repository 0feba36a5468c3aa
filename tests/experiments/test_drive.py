"""The driver, with workers that are played, and two real ones."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines import drive as drive_module
from ia2_eval.experiments.engines.drive import News, WorkerError, drive
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.ownership.processes import Processes
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.watch import watch
from tests.experiments.fake_passes import fake_cell, record_of
from tests.experiments.small_runs import EMBEDDED, SmallRun, results, small_recipe, small_run
from tests.experiments.small_stores import elsewhere

CELLS = [fake_cell("icl", seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive_module, "POLL_SECONDS", 0.001)


@dataclass
class PlayedEngine:
    """Does at each look what the next of these functions does, the last one again and again."""

    looks: list[Callable[[], News]]
    said: list[str] = field(default_factory=list)
    running: bool = False
    starts: int = 0

    @contextmanager
    def start(self, sweep: Sweep) -> Iterator[PlayedEngine]:
        self.running = True
        self.starts += 1
        try:
            yield self
        finally:
            self.running = False

    def look_after(self) -> News:
        return (self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])()


def driven(out: Path, engine: PlayedEngine, told: list[Record] | None = None) -> list[Record]:
    sweep = Sweep(cells=tuple(CELLS), base=EMBEDDED, out=out, settings=Settings(), workers=2)
    console = Console(file=io.StringIO())
    try:
        with watch(len(CELLS), 0, console) as progress:
            return drive(sweep, engine, progress)
    finally:
        engine.said = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert not engine.running


def nothing() -> News:
    return News([], 0)


def lost() -> News:
    return News(["worker 1 was lost"], 1)


def failing(error: Exception) -> Callable[[], News]:
    def fail() -> News:
        raise error

    return fail


def writes(store: Store, *records: Record, news: News | None = None) -> Callable[[], News]:
    def write() -> News:
        for record in records:
            store.write_record(record)
        store.clear_partial(next(store.work_path.glob("partial/*")).name)
        return news or nothing()

    return write


def test_a_driver_waits_for_all_cells_and_gives_their_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    records = [record_of(CELLS[0]), record_of(CELLS[1], failed=True), record_of(CELLS[2])]
    before_last = record_of(CELLS[2], failed=True, transient=True)
    engine = PlayedEngine(
        [nothing, writes(store, *records[:2]), nothing, writes(store, before_last), nothing, writes(store, records[2])]
    )
    assert driven(tmp_path, engine) == records
    assert not store.work_path.exists()
    silent = PlayedEngine([failing(AssertionError("there is nothing to start workers for"))])
    assert driven(tmp_path, silent) == records


def test_what_a_killed_driver_left_is_tidied_even_where_all_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for cell in CELLS:
        store.write_record(record_of(cell))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    from ia2_eval.experiments.ownership import processes as module

    left = module.Process(id="gone", role="driver", host="h", machine=module.this_machine(), pid=gone.pid)
    path = Processes(store.processes_path).path("gone")
    path.parent.mkdir(parents=True)
    path.write_text(left.model_dump_json())
    store.partial_path("gone").mkdir(parents=True)
    store.leases_path.mkdir()
    (store.leases_path / f"{CELLS[0].key}.2").write_text("gone")
    driven(tmp_path, PlayedEngine([failing(AssertionError("there is nothing to do"))]))
    assert not store.work_path.exists()


def test_worker_after_worker_that_is_lost_ends_the_run(tmp_path: Path) -> None:
    engine = PlayedEngine([lost])
    with pytest.raises(UserError, match=r"^5 workers were lost one after another"):
        driven(tmp_path, engine)
    assert engine.said.count("worker 1 was lost") == 5


def test_workers_that_found_nothing_to_do_are_started_again(tmp_path: Path) -> None:
    """They had seen a record that was taken away before the driver looked, by `ia2-eval retry` or as damaged."""
    store = Store(tmp_path)
    records = [record_of(cell) for cell in CELLS]
    engine = PlayedEngine([lambda: News([], 0, idle=True), writes(store, *records)])
    assert driven(tmp_path, engine) == records and engine.starts == 2


@pytest.mark.parametrize("alive", [True, False])
def test_targets_stay_while_others_work_there(alive: bool, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.targets_path.mkdir()
    if alive:
        elsewhere(store, "other")
    driven(tmp_path, PlayedEngine([writes(store, *(record_of(cell) for cell in CELLS))]))
    assert store.targets_path.exists() == alive


def test_a_cell_in_between_gives_workers_another_chance(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine = PlayedEngine(
        [
            *[lost] * 4,
            writes(store, record_of(CELLS[0]), news=lost()),
            *[lost] * 3,
            writes(store, record_of(CELLS[1]), record_of(CELLS[2])),
        ]
    )
    assert len(driven(tmp_path, engine)) == 3


@pytest.mark.parametrize("error", [UserError("no such model"), WorkerError("Traceback"), KeyboardInterrupt()])
def test_what_ends_a_run_ends_its_workers_and_leaves_nothing(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        driven(tmp_path, PlayedEngine([nothing, failing(error)]))
    assert not Store(tmp_path).work_path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows names processes in another way")
def test_two_drivers_share_a_directory_and_no_cell_is_run_twice(tmp_path: Path) -> None:
    """Recipes that overlap, in two processes; the records are those of one run alone."""
    out = tmp_path / "out"
    recipes = [small_recipe(methods=list(methods)) for methods in (("no_icl", "icl", "sft"), ("icl", "sft", "ia2"))]
    both = small_recipe(methods=["no_icl", "icl", "sft", "ia2"])
    running = []
    for number, recipe in enumerate(recipes):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
        command = [sys.executable, "-m", "ia2_eval.cli", "run", str(path), "--out", str(out), "--device", "cpu"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
    alone: SmallRun = small_run(both, tmp_path / "alone")
    for process in running:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    store = Store(out)
    records = [record for cell in (r.cell for r in alone.records) if (record := store.done(cell))]
    assert results(records) == results(alone.records)
    ran = [record.provenance.created for record in records]
    again = small_run(both, out)
    assert again.started == [] and [record.provenance.created for record in again.records] == ran
    left = [path.name for path in out.rglob("*") if path.name.startswith(".") or path.name == "targets"]
    assert not left
