"""`ia2-eval retry`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.upkeep.retry import retry_failed
from tests.experiments.small_stores import failed, small_records, small_store, working

MEMORY, SHAPE = "OutOfMemoryError: CUDA out of memory", "ValueError: [4] is no shape"


@pytest.fixture
def records() -> list[Record]:
    """One done, two out of memory, one of another cause, one of which an early version told no cause."""
    done, *others = small_records(5)
    last = failed(others[3], None, error="Traceback\nKeyError: 'x'")
    return [done, failed(others[0], MEMORY), failed(others[1], MEMORY, transient=True), failed(others[2], SHAPE), last]


@pytest.fixture
def store(records: list[Record], tmp_path: Path) -> Store:
    return small_store(tmp_path, records)


def retried(directory: Path, cause: str | None = None) -> str:
    console = Console(file=io.StringIO(), width=120)
    retry_failed(directory, cause, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def left(store: Store, records: list[Record]) -> list[int]:
    """Numbers of the cells that the next run has to do."""
    ledger = Ledger(store, [record.key for record in records])
    ledger.refresh()
    return [number for number, record in enumerate(records) if ledger.attempt(record.key) == 1]


def test_all_failed_cells(store: Store, records: list[Record]) -> None:
    assert left(store, records) == []
    assert retried(store.directory).splitlines() == [
        f"2 x {MEMORY}",
        "1 x KeyError: 'x'",
        f"1 x {SHAPE}",
        f"4 of 4 failed cells are to be run again: ia2-eval run RECIPE.yaml --out {store.directory}",
    ]
    assert left(store, records) == [1, 2, 3, 4] and store.done(records[0].cell) == records[0]
    names = {path.name for path in (store.directory / "failed").iterdir()}
    assert names == {f"{record.key}.1.json" for record in records[1:]}
    assert retried(store.directory) == f"{store.directory}: no cell has failed\n"


@pytest.mark.parametrize(("cause", "chosen"), [("out of MEMORY", [1, 2]), ("[4]", [3]), ("keyerror: 'x'", [4])])
def test_one_cause(cause: str, chosen: list[int], store: Store, records: list[Record]) -> None:
    assert f"{len(chosen)} of 4 failed cells are to be run again" in retried(store.directory, cause)
    assert left(store, records) == chosen


def test_a_cause_that_no_cell_has(store: Store, records: list[Record]) -> None:
    with pytest.raises(
        UserError, match=r"^--cause 'ValueError: \[5\] is no shape' is in the .*\. Did you mean 'ValueE.*\[4\]"
    ):
        retried(store.directory, "ValueError: [5] is no shape")
    assert left(store, records) == []


def test_while_a_run_is_going_on(store: Store, records: list[Record]) -> None:
    with working(store.directory):
        assert "what runs there now does not see that: give the command when it has ended" in retried(store.directory)
    assert left(store, records) == [1, 2, 3, 4]


def test_a_record_that_another_command_sets_aside_first(
    store: Store, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside = Store.set_aside

    def late(self: Store, record: Record) -> Path:
        if record.key == records[3].key:
            set_aside(self, record)
        return set_aside(self, record)

    monkeypatch.setattr(Store, "set_aside", late)
    text = retried(store.directory)
    assert "3 of 4 failed cells are to be run again" in text and SHAPE not in text
    assert len(list((store.directory / "failed").iterdir())) == 4


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no records"):
        retried(tmp_path / "none")
    assert not (tmp_path / "none").exists()
