from __future__ import annotations

from pathlib import Path

import pytest

from ia2_eval.experiments.ledger import MOST_ATTEMPTS, Ledger, is_settled
from ia2_eval.experiments.store import Store
from tests.experiments.fake_passes import fake_cell, record_of

CELLS = [fake_cell(seed=seed) for seed in range(4)]
KEYS = [cell.key for cell in CELLS]


def test_what_is_settled() -> None:
    assert not is_settled(None)
    assert is_settled(record_of(CELLS[0]))
    assert is_settled(record_of(CELLS[0], failed=True))
    for attempt in range(1, MOST_ATTEMPTS + 2):
        transient = record_of(CELLS[0], failed=True, transient=True, attempt=attempt)
        assert is_settled(transient) == (attempt >= 3)


def test_records_are_seen_as_they_appear_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    ledger = Ledger(store, KEYS)
    assert ledger.refresh() == [] and list(ledger.unsettled) == KEYS
    done, failed = record_of(CELLS[2]), record_of(CELLS[0], failed=True)
    store.write_record(done)
    store.write_record(failed)
    store.write_record(record_of(fake_cell(seed=99)))
    assert ledger.refresh() == [failed, done], "in the order of the plan; another run's is not asked for"
    assert list(ledger.unsettled) == [KEYS[1], KEYS[3]]
    monkeypatch.setattr(Store, "record", lambda *_: pytest.fail("it has been read"))
    assert ledger.refresh() == []
    assert ledger.records == {KEYS[0]: failed, KEYS[2]: done}


def test_attempts_are_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ledger = Ledger(store, KEYS)
    assert ledger.attempt(KEYS[0]) == 1
    store.write_record(record_of(CELLS[0], failed=True, transient=True))
    assert ledger.refresh() == [] and ledger.attempt(KEYS[0]) == 2
    store.write_record(record_of(CELLS[0], failed=True, transient=True, attempt=3))
    assert [record.attempt for record in ledger.refresh()] == [3]


def test_a_damaged_record_is_set_aside_only_where_someone_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.record_path(KEYS[0])
    path.parent.mkdir()
    path.write_text("{")
    assert Ledger(store, KEYS).refresh() == [] and path.exists()
    told: list[Path] = []
    assert Ledger(store, KEYS, lambda aside, reason: told.append(aside)).refresh() == []
    assert told == [path.with_suffix(".json.damaged")] and not path.exists()
