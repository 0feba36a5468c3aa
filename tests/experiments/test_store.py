from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.experiments.record import Record, TrainingPhase
from ia2_eval.experiments.store import Store
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
    return json.dumps(json.loads(RECORD.model_dump_json()) | changes).encode()


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
    ],
    ids=["empty", "cut", "not text", "another key", "a wrong value", "an unknown key", "another cell"],
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


def test_samples(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [{"prediction": "ä\n1", "confidence": None}, {"prediction": "0", "confidence": 0.5}]
    where = store.write_samples("k", "sst2", rows)
    assert where == "samples/k/sst2.jsonl"
    assert [json.loads(line) for line in (tmp_path / where).read_text(encoding="utf-8").splitlines()] == rows


def test_an_adapter_is_whole_or_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def save(text: str, fail: bool = False) -> Any:
        def into(directory: Path) -> None:
            (directory / "adapter_config.json").write_text(text)
            if fail:
                raise OSError("disk full")
            (directory / "adapter_model.safetensors").write_text(text)

        return into

    def present() -> list[str]:
        return sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())

    with pytest.raises(OSError, match="disk full"):
        store.write_adapter("k", save("first", fail=True))
    assert present() == [] and not store.has_adapter("k")
    assert store.write_adapter("k", save("second")) == "adapters/k"
    whole = ["adapters/k/adapter_config.json", "adapters/k/adapter_model.safetensors"]
    with pytest.raises(OSError, match="disk full"):
        store.write_adapter("k", save("third", fail=True))
    assert present() == whole and store.has_adapter("k")
    assert (tmp_path / whole[1]).read_text() == "second"
    store.write_adapter("k", save("fourth"))
    assert present() == whole
    assert (tmp_path / whole[0]).read_text() == "fourth"


def test_what_a_killed_writer_left_is_in_no_ones_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "adapters" / "k.tmp").mkdir(parents=True)
    (tmp_path / "adapters" / "k.tmp" / "half").write_text("x")
    store.write_adapter("k", lambda directory: (directory / "adapter_config.json").touch())
    assert [path.name for path in store.adapter_path("k").iterdir()] == ["adapter_config.json"]
    assert [path.name for path in (tmp_path / "adapters").iterdir()] == ["k"]
