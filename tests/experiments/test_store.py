from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ia2_eval.errors import UserError
from ia2_eval.experiments.ownership.processes import process_id
from ia2_eval.experiments.record import Record, StoredTraining, TrainingPhase, dump_record, parse_record
from ia2_eval.experiments.store import COMPLETE, Store
from ia2_eval.frozen import Frozen
from tests.leaderboard.synthetic_run import make_record

RECORD = make_record("ia2", {"sst2": {"acc": 0.5, "nll": 1.0}})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.record(RECORD.key) is None and store.done(RECORD.cell) is None
    store.write_record(RECORD)
    assert store.record(RECORD.key) == RECORD == store.done(RECORD.cell)
    assert [path.name for path in (tmp_path / "records").iterdir()] == [f"{RECORD.key}.json"]


def test_losses_that_diverged_survive(tmp_path: Path) -> None:
    phase = TrainingPhase(loss="ce", steps=9, kept_step=0, dev_loss=math.inf, train_loss=math.nan, stopped="budget")
    assert RECORD.training
    training = RECORD.training.model_copy(update={"phases": (phase,)})
    evaluation = RECORD.evaluations[0].model_copy(update={"metrics": {"acc": 0.0, "nll": math.inf}})
    store = Store(tmp_path)
    store.write_record(RECORD.model_copy(update={"training": training, "evaluations": (evaluation,)}))

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(store.record_path(RECORD.key).read_text(encoding="utf-8"), parse_constant=refuse)
    read = store.record(RECORD.key)
    assert read and read.training
    assert read.training.dev_loss == math.inf
    assert math.isnan(read.training.phases[0].train_loss)
    assert read.evaluations[0].metrics["nll"] == math.inf


def test_a_failed_record_is_not_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    failed = make_record("ia2", {"sst2": {"acc": 0.5}}, error="Traceback ...")
    store.write_record(failed)
    assert store.record(failed.key) == failed
    assert store.done(failed.cell) is None


def altered(**changes: Any) -> bytes:
    """Without a digest, as early records are: what is wrong is found all the same."""
    return json.dumps(json.loads(RECORD.model_dump_json()) | changes).encode()


def changed_by_hand(old: str, new: str) -> bytes:
    text = dump_record(RECORD).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        RECORD.model_dump_json().encode()[:-20],
        b"\xff\xfe not text",
        altered(key="0" * 16),
        altered(status="fine"),
        altered(surprise=1),
        altered(cell=json.loads(RECORD.cell.model_dump_json()) | {"n": 8}),
        changed_by_hand('"acc": 0.5', '"acc": 0.6'),
        dump_record(RECORD)[:-20],
        b"[]",
    ],
    ids="empty,cut of old,not text,another key,a wrong value,an unknown key,another cell,by hand,cut,a list".split(","),
)
def test_a_damaged_record_is_set_aside_and_named(content: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.record_path(RECORD.key)
    path.parent.mkdir()
    path.write_bytes(content)
    assert store.done(RECORD.cell) is None
    assert path.read_bytes() == content  # looking changes nothing
    told: list[tuple[Path, str]] = []
    assert store.done(RECORD.cell, lambda *damage: told.append(damage)) is None
    ((aside, reason),) = told
    assert aside == path.with_name(f"{RECORD.key}.json.damaged")
    assert aside.read_bytes() == content and not path.exists()
    assert reason
    store.write_record(RECORD)
    assert store.done(RECORD.cell) == RECORD


def test_a_record_of_a_later_version_is_left_alone_and_named(tmp_path: Path) -> None:
    """It may have been expensive, so that it is not written over."""
    store, told = Store(tmp_path), list[Path]()
    path = store.record_path(RECORD.key)
    path.parent.mkdir()
    path.write_bytes(altered(schema_version=2, surprise=1))
    for on_damaged in (None, lambda aside, reason: told.append(aside)):
        with pytest.raises(UserError, match=rf"{RECORD.key}.json: schema version 2, .* up to 1: update ia2-eval, or"):
            store.record(RECORD.key, on_damaged)
    assert path.read_bytes() == altered(schema_version=2, surprise=1) and told == []


def test_a_record_whose_writing_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write_record(RECORD)

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="disk full"):
        store.write_record(make_failed())
    monkeypatch.undo()
    assert store.record(RECORD.key) == RECORD
    assert len(list((tmp_path / "records").iterdir())) == 1


def make_failed() -> Record:
    return RECORD.model_copy(update={"status": "failed", "error": "Traceback ..."})


class Row(Frozen):
    text: str
    value: float | None


def test_rows(tmp_path: Path) -> None:
    """Also texts that hold what some take for the end of a line, and numbers that JSON does not know."""
    store = Store(tmp_path)
    rows = [Row(text="ä\n1\u2028\x85\r", value=None), Row(text="", value=-math.inf), Row(text="{", value=1 / 3)]
    where = store.write_samples("k", "sst2", rows)
    assert where == "samples/k/sst2.jsonl"
    lines = (tmp_path / where).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == [row.text for row in rows]
    assert store.read_rows(where, Row) == rows
    assert store.write_rows("samples/k/other.jsonl", rows[:1]) == "samples/k/other.jsonl"
    assert store.read_rows("samples/k/other.jsonl", Row) == rows[:1]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"text": "b", "val', "Invalid JSON"),
        (b'{"text": "b", "value": "x"}', "value: Input should be a valid number"),
        (b'{"text": "b", "value": 1, "more": 1}', "more: Extra inputs"),
        (b"", "Invalid JSON"),
        (b'"\xff"', "Invalid JSON"),
    ],
)
def test_a_line_that_is_no_row_is_named(line: bytes, fault: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    where = store.write_samples("k", "sst2", [Row(text="a", value=0)])
    with (tmp_path / where).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(ValueError, match=f"^samples/k/sst2.jsonl, line 2: {fault}"):
        store.read_rows(where, Row)


def saving(text: str, fail: bool = False) -> Callable[[Path], None]:
    """Writes an adapter, with the training of a record beside it."""

    def save(directory: Path) -> None:
        (directory / "adapter_config.json").write_text(text)
        save_file({"weight": np.zeros(4, np.float32)}, directory / "adapter_model.safetensors")
        if fail:
            raise OSError("disk full")
        assert RECORD.training
        stored = StoredTraining(training=RECORD.training, together=2, seconds=1.5)
        (directory / "training.json").write_text(stored.model_dump_json())

    return save


def present(directory: Path) -> dict[str, str]:
    """Adapters in place, and what their first file says; nothing else may be there."""
    files = [path.relative_to(directory).parts for path in directory.rglob("*") if path.is_file()]
    assert {(first, name) for first, _, name in files} <= {
        ("adapters", "adapter_config.json"),
        ("adapters", "adapter_model.safetensors"),
        ("adapters", "training.json"),
    }
    return {key: (directory / "adapters" / key / "adapter_config.json").read_text() for _, key, _ in files}


def test_adapters_are_all_there_or_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        store.write_adapters({"a": saving("first"), "b": saving("first", fail=True)})
    assert present(tmp_path) == {} and store.training("a") is None
    store.write_adapters({"a": saving("second"), "b": saving("second")})
    assert present(tmp_path) == {"a": "second", "b": "second"}
    stored = store.training("b")
    assert stored and stored.training == RECORD.training and stored.seconds == 1.5
    with pytest.raises(OSError, match="disk full"):
        store.write_adapters({"a": saving("third"), "b": saving("third", fail=True)})
    assert present(tmp_path) == {"a": "second", "b": "second"}
    store.write_adapters({"b": saving("fourth")})
    assert present(tmp_path) == {"a": "second", "b": "fourth"}


def test_adapters_of_a_killed_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it writes them, while it puts the first one in place, and while it puts the second one there."""
    store = Store(tmp_path)
    half = store.partial_path("dead") / "adapters" / "a" / "half"
    half.parent.mkdir(parents=True)
    half.write_text("x")
    store.place_adapters()
    assert half.is_file() and store.training("a") is None  # perhaps its writer is alive
    store.clear_partial("dead")
    assert present(tmp_path) == {}

    replace = Path.replace
    for survivors in (0, 1):
        moved: list[Path] = []

        def killed(self: Path, target: Path, after: int = survivors, moved: list[Path] = moved) -> Path:
            if self.parent.name == COMPLETE:
                if len(moved) == after:
                    raise KeyboardInterrupt
                moved.append(self)
            return replace(self, target)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "replace", killed)
            store.write_adapters({"a": saving(str(survivors)), "b": saving(str(survivors))})
        store.place_adapters()
        assert present(tmp_path) == {"a": str(survivors), "b": str(survivors)}
        assert not list(tmp_path.glob(f".work/partial/*/{COMPLETE}"))
    store.place_adapters()  # nothing to do
    assert len(present(tmp_path)) == 2


PLACING = """
import sys
from pathlib import Path
from ia2_eval.experiments.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
store.place_adapters()
"""


def test_processes_that_place_the_adapters_of_a_dead_one_at_once(tmp_path: Path) -> None:
    """Each adapter is put in place once and whole; one that was there already stays as it is."""
    store, keys = Store(tmp_path), [f"{number:02d}" for number in range(60)]
    for name in keys:
        folder = store.partial_path("dead") / COMPLETE / name
        folder.mkdir(parents=True)
        saving(name)(folder)
    store.write_adapters({"07": saving("of another process")})
    placing = [
        subprocess.Popen([sys.executable, "-c", PLACING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in placing:
        assert process.stdout and process.stdout.readline() == b"ready\n"
    for process in placing:
        assert process.communicate(b"\n", timeout=60)[0] == b"" and process.returncode == 0
    first = {name: saved for name, saved in present(tmp_path).items() if name != "07"}
    assert first == {name: name for name in keys if name != "07"}
    assert all(store.training(name) for name in keys)


def test_what_a_process_writes_is_nobody_elses(tmp_path: Path) -> None:
    """Temporary files are in a folder of the process, and gone afterwards."""
    store = Store(tmp_path)
    store.write_record(RECORD)
    assert [path.name for path in (tmp_path / ".work" / "partial").iterdir()] == [process_id()]
    assert list(store.partial_path(process_id()).iterdir()) == []
    store.clear_partial(process_id())
    store.clear_partial("never heard of")
    assert not (tmp_path / ".work").exists()


def test_failed_records_are_set_aside_one_beside_the_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in (1, 2, 3):
        record = make_failed().model_copy(update={"attempt": number})
        store.write_record(record)
        assert store.set_aside(record) == tmp_path / "failed" / f"{RECORD.key}.{number}.json"
        assert store.record(RECORD.key) is None and not store.record_path(RECORD.key).exists()
    kept = [parse_record(path.read_bytes(), RECORD.key) for path in sorted((tmp_path / "failed").iterdir())]
    assert [record.attempt for record in kept] == [1, 2, 3]
    with pytest.raises(FileNotFoundError):
        store.set_aside(make_failed())
    assert len(list((tmp_path / "failed").iterdir())) == 3


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


def removed(file: Path) -> None:
    file.unlink()


def half_written(file: Path) -> None:
    file.with_name("training.json").write_text("{")


@pytest.mark.parametrize("damage", [cut_short, removed, half_written])
def test_a_damaged_adapter_is_set_aside_and_named(damage: Callable[[Path], None], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_adapters({"a": saving("x")})
    assert store.training("a")
    damage(store.adapter_path("a") / "adapter_model.safetensors")
    assert store.training("a") is None
    assert store.adapter_path("a").is_dir()  # looking changes nothing
    told: list[Path] = []
    assert store.training("a", lambda path, reason: told.append(path)) is None
    assert told == [tmp_path / "adapters" / "a.damaged"]
    assert (told[0] / "adapter_config.json").is_file() and not store.adapter_path("a").exists()
