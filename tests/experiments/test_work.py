"""A worker beside others, with passes that train nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.engines import work as work_module
from ia2_eval.experiments.engines.groups import groups
from ia2_eval.experiments.engines.work import LeasedStore, Worker
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.ownership import leases as leases_module
from ia2_eval.experiments.ownership.leases import Leases
from ia2_eval.experiments.ownership.processes import Process, Processes
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store
from tests.experiments.fake_passes import FakePasses, fake_cell, record_of

CELLS = [fake_cell("icl", seed) for seed in range(3)]
TRAINED = [fake_cell("sft", seed) for seed in range(4)]


class Office:
    """A run's directory with this process as a worker, and others that are played."""

    def __init__(self, out: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch, size: int = 15) -> None:
        self.cells, self.size = cells, size
        self.name = "me"
        monkeypatch.setattr(leases_module, "process_id", lambda: self.name)
        self.store = Store(out)
        self.processes = Processes(self.store.processes_path)
        self.processes.directory.mkdir(parents=True)
        self.write("me", alive=True)
        self.leases = Leases(self.store.leases_path, self.processes)
        self.ledger = Ledger(self.store, [cell.key for cell in cells])
        self.leased = LeasedStore(out, self.leases)
        self.passes = FakePasses(self.leased)
        self.told: list[Record] = []

    def write(self, name: str, alive: bool, cells: tuple[str, ...] = ()) -> None:
        process = Process(id=name, role="worker", host="far", machine="another", pid=1, cells=cells)
        self.processes.path(name).write_text(process.model_dump_json())
        if not alive:
            self.processes._seen[name] = 0, time.monotonic() - 1000

    def lease_as(self, name: str, *cells: Cell) -> None:
        self.name = name
        assert Leases(self.store.leases_path, self.processes).acquire([cell.key for cell in cells])
        self.name = "me"

    def work(self) -> None:
        Worker(self.leased, self.ledger, self.passes, self.told.append).work(groups(self.cells, self.size))

    def leases_left(self) -> list[str]:
        return sorted(path.name for path in self.store.leases_path.glob("*"))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_module, "POLL_SECONDS", 0.01)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Office]:
    return lambda cells, size=15: Office(tmp_path, cells, monkeypatch, size)


Offices = Callable[..., Office]


def test_everything_is_run_once_and_no_lease_is_left(office: Offices) -> None:
    mine = office([*CELLS, *TRAINED], size=3)
    mine.work()
    keys = [cell.key for cell in TRAINED]
    assert mine.passes.ran == [[cell.key] for cell in CELLS] + [keys[:3], keys[3:]]
    assert not mine.ledger.unsettled and mine.leases_left() == [] and mine.told == []


def test_what_another_process_has_done_is_not_run(office: Offices) -> None:
    mine = office(CELLS)
    done = record_of(CELLS[1])
    mine.store.write_record(done)
    mine.work()
    assert mine.passes.ran == [[CELLS[0].key], [CELLS[2].key]]
    assert mine.told == [done]


def test_what_is_done_between_the_look_and_the_lease_is_not_run(
    office: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = office(CELLS)
    acquire = Leases.acquire
    done = record_of(CELLS[0])

    def meanwhile(leases: Leases, keys: list[str]) -> bool:
        if keys == [CELLS[0].key]:
            mine.store.write_record(done)
        return acquire(leases, keys)

    monkeypatch.setattr(Leases, "acquire", meanwhile)
    mine.work()
    assert mine.passes.ran == [[CELLS[1].key], [CELLS[2].key]]
    assert mine.told == [done] and mine.leases_left() == []


def test_what_a_living_process_runs_is_waited_for(office: Offices, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = office(CELLS)
    mine.write("other", alive=True)
    mine.lease_as("other", CELLS[0])
    looks = 0
    sleep = time.sleep

    def a_while(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert mine.passes.ran == [[CELLS[1].key], [CELLS[2].key]]
        if looks == 3:
            mine.store.write_record(record_of(CELLS[0]))
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", a_while)
    mine.work()
    assert looks >= 3 and [record.key for record in mine.told] == [CELLS[0].key]
    assert len(mine.passes.ran) == 2


def test_what_a_dead_process_left_is_run(office: Offices) -> None:
    mine = office(TRAINED)
    mine.write("other", alive=False, cells=tuple(cell.key for cell in TRAINED))
    mine.lease_as("other", *TRAINED)
    mine.work()
    assert mine.passes.ran == [[cell.key for cell in TRAINED]] and mine.leases_left() == []


def test_a_failure_that_may_pass_is_tried_three_times(office: Offices) -> None:
    mine = office(CELLS)
    mine.passes.failing = {CELLS[0].key: {"transient": True}, CELLS[1].key: {}}
    mine.work()
    ran = [key for keys in mine.passes.ran for key in keys]
    assert [ran.count(cell.key) for cell in CELLS] == [3, 1, 1]
    assert [a[CELLS[0].key] for a in mine.passes.attempts if CELLS[0].key in a] == [1, 2, 3]
    assert mine.leases_left() == [] and not mine.ledger.unsettled


def test_what_may_pass_is_tried_again_after_all_else(office: Offices) -> None:
    mine = office(CELLS)
    mine.passes.failing = {CELLS[0].key: {"transient": True}}
    mine.work()
    assert mine.passes.ran == [[cell.key] for cell in [*CELLS, CELLS[0], CELLS[0]]]


def test_of_a_pass_only_what_is_not_settled_is_run_again(office: Offices) -> None:
    mine = office(TRAINED)
    mine.passes.failing = {TRAINED[1].key: {"transient": True}, TRAINED[2].key: {}}
    mine.work()
    assert mine.passes.ran == [[cell.key for cell in TRAINED], [TRAINED[1].key], [TRAINED[1].key]]


@pytest.mark.parametrize(("deaths", "given_up"), [(2, False), (3, True), (4, True)])
def test_a_cell_that_kills_its_workers_is_given_up(deaths: int, given_up: bool, office: Offices) -> None:
    mine = office(CELLS)
    for number in range(deaths):
        mine.write(f"dead{number}", alive=False, cells=(CELLS[0].key,))
        mine.lease_as(f"dead{number}", CELLS[0], CELLS[1])
    mine.work()
    record = mine.ledger.records[CELLS[0].key]
    assert mine.ledger.records[CELLS[1].key].status == "ok", "its owners died, but not while they ran it"
    assert ([CELLS[0].key] in mine.passes.ran) == (not given_up)
    if given_up:
        assert record.status == "failed" and record.transient and record.cause == "3 workers died while they ran it"
        assert mine.told == [record] and mine.store.record(record.key) == record
    else:
        assert record.status == "ok"


def test_a_worker_that_slept_while_others_took_its_cells_keeps_its_records_to_itself(office: Offices) -> None:
    mine = office([*TRAINED, *CELLS[:1]])
    theirs = record_of(TRAINED[0], attempt=2)
    ran = 0
    passes = mine.passes

    def sleeps(cells: list[Cell], attempts: dict[str, int]) -> list[Record]:
        nonlocal ran
        ran += 1
        if ran == 1:
            mine.write("other", alive=True)
            mine.processes._seen["me"] = 0, time.monotonic() - 1000
            mine.lease_as("other", *TRAINED)
            mine.store.write_record(theirs)
            made = passes(cells, attempts)
            for cell in TRAINED[1:]:
                assert mine.store.record(cell.key) is None
                mine.store.write_record(record_of(cell, attempt=2))
            return made
        return passes(cells, attempts)

    Worker(mine.leased, mine.ledger, sleeps, mine.told.append).work(groups(mine.cells, 15))  # type: ignore[arg-type]
    assert mine.store.record(TRAINED[0].key) == theirs
    assert {record.attempt for key, record in mine.ledger.records.items() if key != CELLS[0].key} == {2}
    assert [record.key for record in mine.told] == [cell.key for cell in TRAINED]
    assert passes.ran == [[cell.key for cell in TRAINED], [CELLS[0].key]], "it is not tried once more"


def test_passes_that_were_taken_over_meanwhile_are_left_to_their_owner(
    office: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = [fake_cell("ia2"), fake_cell("ia2_sft")]
    mine = office(chain)
    passes = mine.passes
    sleep = time.sleep

    def sleeps(cells: list[Cell], attempts: dict[str, int]) -> list[Record]:
        made = passes(cells, attempts)
        mine.write("other", alive=True)
        mine.processes._seen["me"] = 0, time.monotonic() - 1000
        mine.lease_as("other", chain[1])
        return made

    def other_finishes(seconds: float) -> None:
        mine.store.write_record(record_of(chain[1]))
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", other_finishes)
    Worker(mine.leased, mine.ledger, sleeps, mine.told.append).work(groups(chain, 15))  # type: ignore[arg-type]
    assert passes.ran == [[chain[0].key]] and [record.key for record in mine.told] == [chain[1].key]
