"""Records that are truncated, changed by hand, or of a later version: what each command answers to them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.record import Record, dump_record
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.upkeep.gc import collect_garbage
from ia2_eval.experiments.upkeep.retry import retry_failed
from ia2_eval.experiments.upkeep.state import read_state
from ia2_eval.leaderboard.results.read import read_run
from tests.experiments.small_stores import failed, small_records, small_store
from tests.experiments.test_status import counts, shown


def truncated(record: Record) -> bytes:
    return dump_record(record)[:-3]


def changed_by_hand(record: Record) -> bytes:
    return dump_record(record).replace(b'"acc": 0.5', b'"acc": 0.9')


def newer(record: Record) -> bytes:
    return json.dumps(json.loads(dump_record(record)) | {"schema_version": 2, "more": 1}).encode()


def spoiled(directory: Path, content: bytes, key: str) -> Store:
    store = small_store(directory, small_records(3))
    store.record_path(key).write_bytes(content)
    return store


RECORD = small_records(1)[0]


def test_a_truncated_record_is_damaged_and_its_cell_left(tmp_path: Path) -> None:
    store = spoiled(tmp_path, truncated(RECORD), RECORD.key)
    text = shown(tmp_path)
    assert counts(text) == {"done": "2", "running": "0", "failed": "0", "left": "1"}
    assert f"  records/{RECORD.key}.json: EOF while parsing" in text
    assert "damaged; the next run sets it aside and runs the cell again\n" in text and "go on: ia2-eval run" in text
    assert len(read_run(tmp_path).faults) == 1 and len(read_run(tmp_path).records) == 2  # leaderboard, regress, analyze
    told: list[Path] = []
    ledger = Ledger(store, [RECORD.key], lambda path, reason: told.append(path))  # run
    assert ledger.refresh() == [] and list(ledger.unsettled) == [RECORD.key]
    assert [path.name for path in told] == [f"{RECORD.key}.json.damaged"]
    assert counts(shown(tmp_path))["left"] == "1" and "damaged" not in shown(tmp_path)


def test_a_record_changed_by_hand_is_found(tmp_path: Path) -> None:
    store = spoiled(tmp_path, changed_by_hand(RECORD), RECORD.key)
    text = shown(tmp_path)
    assert counts(text) == {"done": "2", "running": "0", "failed": "0", "left": "1"}
    assert f"records/{RECORD.key}.json: its content does not fit its digest: it was altered: damaged; the next" in text
    assert read_run(tmp_path).faults == (
        f"records/{RECORD.key}.json: its content does not fit its digest: it was altered",
    )
    assert store.done(RECORD.cell) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"3", b"{}", json.dumps({"key": RECORD.key, "status": "ok"}).encode(), b"\xff", dump_record(RECORD)],
    ids=["empty", "list", "number", "nothing in it", "half of it", "no text", "under another name"],
)
def test_what_is_no_record_at_all(content: bytes, tmp_path: Path) -> None:
    key = "0" * 16
    spoiled(tmp_path, content, key)
    text = shown(tmp_path)
    assert counts(text) == {"done": "3", "running": "0", "failed": "0", "left": "1"}
    assert f"records/{key}.json: " in text


def test_a_newer_record_is_neither_done_nor_run_again(tmp_path: Path) -> None:
    store = spoiled(tmp_path, newer(RECORD), RECORD.key)
    text = shown(tmp_path)
    assert counts(text) == {"done": "2", "running": "0", "failed": "0", "left": "0", "of a later version": "1"}
    assert (
        f"records/{RECORD.key}.json: schema version 2, this ia2-eval knows versions up to 1: update ia2-eval\n" in text
    )
    assert "all is done" not in text and "go on" not in text
    with pytest.raises(UserError, match=r"schema version 2, .*: update ia2-eval, or give another --out"):
        Ledger(store, [RECORD.key]).refresh()  # run
    assert "schema version 2" in read_run(tmp_path).faults[0]
    assert store.record_path(RECORD.key).read_bytes() == newer(RECORD)


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    store = small_store(tmp_path, small_records(3), left=1)
    for content in ("{", "[]", '{"a": 1}'):
        (tmp_path / "plan.json").write_text(content)
        text = shown(tmp_path)
        assert "what is left is not known" in text and counts(text) == {"done": "2", "running": "0", "failed": "0"}
        assert "plan.json: " in text and "delete it and run the recipes of this directory again" in text
    with pytest.raises(UserError, match="delete it and run the recipes of this directory again"):
        (tmp_path / "plan.json").write_text("{")
        store.write_plan([RECORD.cell])


def test_many_are_named_by_a_few(tmp_path: Path) -> None:
    records = small_records(9)
    store = small_store(tmp_path, records)
    for record in records[:8]:
        store.record_path(record.key).write_text("{")
    text = shown(tmp_path)
    assert text.count("damaged; the next run") == 5 and "and 3 more like it" in text
    assert len(read_state(tmp_path).having("damaged")) == 8


@pytest.mark.parametrize("spoil", [truncated, newer])
def test_retry_and_gc_leave_them_alone(spoil, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    records = small_records(3)
    store = small_store(tmp_path, [records[0], failed(records[1]), failed(records[2])])
    store.record_path(records[1].key).write_bytes(spoil(failed(records[1])))
    (tmp_path / "adapters" / records[1].key).mkdir(parents=True)
    console = Console(file=io.StringIO(), width=200)
    retry_failed(tmp_path, None, console)
    assert "1 of 1 failed cells are to be run again" in console.file.getvalue()  # type: ignore[attr-defined]
    collect_garbage(tmp_path, console, delete=True, every_path=False)
    assert store.record_path(records[1].key).read_bytes() == spoil(failed(records[1]))
    assert (tmp_path / "adapters" / records[1].key).is_dir()
