"""`ia2-eval status`: every number against what was put into the directory."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.ownership.processes import Processes
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.upkeep import state as state_module
from ia2_eval.experiments.upkeep.glance import Glance, glances
from ia2_eval.experiments.upkeep.state import read_state
from ia2_eval.experiments.upkeep.status import as_object, causes, status_command
from ia2_eval.experiments.upkeep.time_to_go import time_to_go
from tests.experiments.small_runs import SmallRun
from tests.experiments.small_stores import elsewhere, failed, small_records, small_store, working
from tests.leaderboard.synthetic_run import make_record


def shown(directory: Path, width: int = 200, **options: bool) -> str:
    console = Console(file=io.StringIO(), width=width)
    status_command(directory, console, **{"watch": False, "as_json": False} | options)
    return console.file.getvalue()  # type: ignore[attr-defined]


def counts(text: str) -> dict[str, str]:
    return dict(re.findall(r"^  (done|running|failed|left|of a later version) +([\d,]+)$", text, re.MULTILINE))


def test_a_finished_run(strict_run: SmallRun) -> None:
    """A real one: what is done has nothing more to do."""
    text = shown(strict_run.store.directory)
    assert counts(text) == {"done": "10", "running": "0", "failed": "0", "left": "0"}
    assert re.search(r"embedded_mood +5 +0 +0 +0\n +embedded_arithmetic +5 +0 +0 +0", text)
    assert "time to go" not in text and "all is done; the table: ia2-eval leaderboard build" in text


def test_a_run_that_began_and_stopped(tmp_path: Path) -> None:
    small_store(tmp_path, small_records(5), left=2)
    text = shown(tmp_path)
    assert counts(text) == {"done": "3", "running": "0", "failed": "0", "left": "2"}
    assert "time to go: about 2.0 s with one worker (none is at work), by what 3 done cells took\n" in text
    assert f"go on: ia2-eval run RECIPE.yaml --out {tmp_path}\n" in text and "retry" not in text


def test_before_anything_is_done(tmp_path: Path) -> None:
    small_store(tmp_path, small_records(2), left=2)
    text = shown(tmp_path)
    assert counts(text)["left"] == "2" and "time to go: not known before a cell is done" in text
    assert as_object(read_state(tmp_path))["time_to_go"] is None


def test_failures_by_cause(tmp_path: Path) -> None:
    """Also of early records, which tell no cause: by the last line of the traceback, without what varies."""
    records = small_records(9)
    records[:3] = [failed(each, "OutOfMemoryError: x", transient=True) for each in records[:3]]
    records[3:5] = [
        failed(each, None, f"Traceback:\n  f()\nKeyError: no key {number:016x}\n")
        for number, each in enumerate(records[3:5])
    ]
    records[5] = failed(records[5], None, "")
    store = small_store(tmp_path, records)
    text = shown(tmp_path)
    assert counts(text) == {"done": "3", "running": "0", "failed": "6", "left": "0"}
    assert re.findall(r"^  (\d x .*)$", text, re.MULTILINE) == [
        "3 x OutOfMemoryError: x (all to be tried again by the next run)",
        "2 x KeyError: no key …",
        "1 x not known",
    ]
    label, key = re.findall(r"such as (.*) \(records/(.*)\.json\)", text)[1]
    record = store.record(key)
    assert record and record in records[3:5] and label == record.cell.label
    assert f"try failed cells again: ia2-eval retry {tmp_path}\n" in text


def test_causes_are_grouped_whatever_their_order() -> None:
    found = causes([Glance(str(i), "failed", said=said) for i, said in enumerate("abbabc")])
    assert [(each.cause, each.failed, each.example.key) for each in found] == [
        ("b", 3, "1"),
        ("a", 2, "0"),
        ("c", 1, "5"),
    ]


def test_while_it_is_running(tmp_path: Path) -> None:
    records = small_records(6)
    small_store(tmp_path, records, left=3)
    with working(tmp_path, records[4].key, records[5].key) as worker, working(tmp_path, role="driver"):
        text = shown(tmp_path)
        assert counts(text) == {"done": "3", "running": "2", "failed": "0", "left": "1"}
        assert f", process {worker.pid}: evaluating\n" in text and re.search(r"^  driver on .*\d$", text, re.MULTILINE)
        assert "about 3.0 s with 1 worker, by" in text and "go on:" not in text
        with working(tmp_path):
            assert "starts, or waits" in shown(tmp_path) and "about 1.5 s with 2 workers" in shown(tmp_path)
    text = shown(tmp_path)  # killed
    assert counts(text) == {"done": "3", "running": "0", "failed": "0", "left": "3"}
    assert f"process {worker.pid} (has ended)" in text and f"ia2-eval gc {tmp_path}\n" in text and "go on:" in text


def test_a_failed_cell_that_is_tried_again_is_running(tmp_path: Path) -> None:
    records = small_records(2)
    small_store(tmp_path, [records[0], failed(records[1])])
    assert counts(shown(tmp_path))["failed"] == "1"
    elsewhere(Store(tmp_path), "w", records[1].key, records[0].key)  # done, and not told yet
    assert counts(shown(tmp_path)) == {"done": "1", "running": "1", "failed": "0", "left": "0"}


def test_processes_of_other_machines_are_not_judged_without_being_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = small_records(3)
    store = small_store(tmp_path, records, left=3)
    dead = elsewhere(store, "dead", records[0].key)
    alive = elsewhere(store, "alive", records[1].key)
    elsewhere(store, "ends", records[2].key)
    text = shown(tmp_path)
    assert text.count("on node-7, process 1 (not known to be alive): x") == 3 and counts(text)["running"] == "3"
    assert f"which processes live: ia2-eval status {tmp_path} --watch" in text

    def beat(_: float) -> None:
        path = Processes(store.processes_path).path
        path(alive.id).write_text(alive.model_copy(update={"beat": 8}).model_dump_json())
        path("ends").unlink(missing_ok=True)
        sleep(0.01)

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", beat)
    monkeypatch.setattr(state_module, "BEAT_SECONDS", 0.02)
    seen = {each.process.id: each.life for each in read_state(tmp_path, watch=True).processes}
    assert seen == {"alive": "alive", "dead": "silent"}
    monkeypatch.setattr(time, "sleep", sleep)
    elsewhere(store, dead.id, records[0].key)
    text = shown(tmp_path, watch=True)
    assert "(no heartbeat while it was watched)" in text and counts(text)["running"] == "0"


def test_time_to_go_by_hand(tmp_path: Path) -> None:
    """By cells alike; else by those of the same method; else by all."""

    def took(seconds: float, **what: Any) -> Any:
        record = make_record(what.pop("method", "ia2"), {"sst2": {"acc": 0.5}}, **what)
        return record.model_copy(update={"provenance": record.provenance.model_copy(update={"wall_seconds": seconds})})

    done = [took(1, seed=0), took(3, seed=1), took(10, n=8), took(4, method="sft")]
    left = [took(0, seed=2), took(0, seed=3), took(0, n=16), took(0, method="sft", n=16), took(0, method="icl")]
    store = small_store(tmp_path, [*done, *left], left=5)
    mean_ia2, mean = (1 + 3 + 10) / 3, (1 + 3 + 10 + 4) / 4
    expected = 2 + 2 + mean_ia2 + 4 + mean
    found = time_to_go(read_state(tmp_path))
    assert found and found.seconds == pytest.approx(expected)
    assert found[1:] == (1, 4, 3)
    assert "; 3 of the cells to go have none alike" in shown(tmp_path)
    for name in ("a", "b"):
        elsewhere(store, name, left[0].key)
    found = time_to_go(read_state(tmp_path))
    assert found and found.seconds == pytest.approx(expected / 2) and found.workers == 2


def test_a_run_without_a_plan(tmp_path: Path) -> None:
    """Older ones have none."""
    small_store(tmp_path, small_records(3))
    (tmp_path / "plan.json").unlink()
    text = shown(tmp_path)
    assert "no plan.json: what is left is not known" in text and counts(text) == {
        "done": "3",
        "running": "0",
        "failed": "0",
    }
    assert as_object(read_state(tmp_path))["planned"] is None


def test_a_damaged_plan_is_not_called_absent(tmp_path: Path) -> None:
    small_store(tmp_path, small_records(3))
    (tmp_path / "plan.json").write_text("{", encoding="utf-8")
    text = shown(tmp_path)
    assert "plan.json is damaged: what is left is not known" in text and "no plan.json" not in text
    assert "delete it and run the recipes of this directory again" in " ".join(text.split())


def test_recipes_in_one_directory(tmp_path: Path) -> None:
    """The plan has the cells of all; one of another benchmark is told apart."""
    small_store(tmp_path, small_records(2))
    small_store(tmp_path, [make_record("icl", {"agn": {"acc": 0.5}}, source="agn", seed=seed) for seed in (0, 1)], 1)
    text = shown(tmp_path)
    assert counts(text) == {"done": "3", "running": "0", "failed": "0", "left": "1"}
    assert re.search(r"sst2 +2 +0 +0 +0\n +agn +1 +0 +0 +1\n", text)


def test_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = small_records(4)
    store = small_store(tmp_path, [failed(records[0]), *records[1:]], left=1)
    store.set_aside(failed(records[0]))
    store.write_record(failed(records[0]))
    elsewhere(store, "w", records[3].key, doing="evaluating [bold] ä")
    assert shown(tmp_path, as_json=True) == ""
    read = json.loads(capsys.readouterr().out)
    assert {name: read[name] for name in ("cells", "planned", "done", "running", "failed", "left", "set_aside")} == {
        "cells": 4, "planned": 4, "done": 2, "running": 1, "failed": 1, "left": 0, "set_aside": 1,
    }  # fmt: skip
    example = {"key": records[0].key, "label": records[0].cell.label}
    cause = {"cause": "RuntimeError: broken", "failed": 1, "transient": 0, "example": example}
    assert read["causes"] == [cause] and read["damaged"] == read["newer"] == {}
    (process,) = read["processes"]
    assert (process["life"], process["doing"]) == ("not known", "evaluating [bold] ä")
    assert read["time_to_go"] == {"seconds": 1.0, "workers": 1, "done": 2, "unlike": 0}


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut(width: int, tmp_path: Path) -> None:
    """Long causes and what markup could be mistaken for are printed as they are, over several lines."""
    records = small_records(3)
    cause = "RuntimeError: [red]shape[/red] " + "mat1 and mat2 cannot be multiplied " * 6 + "end"
    store = small_store(tmp_path, [failed(records[0], cause), *records[1:]], left=1)
    elsewhere(store, "w", records[2].key, doing="training [b] " + "sst2 ia2 N=4, 15 adapters together " * 4 + "end")
    lines = shown(tmp_path, width).splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= width
    text = " ".join(" ".join(lines).split())
    assert cause in text and "training [b] " + "sst2 ia2 N=4, 15 adapters together " * 4 + "end" in text


@pytest.mark.parametrize("what", ["absent", "empty", "file", "other"])
def test_what_is_no_run(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    if what == "file":
        path.write_text("x")
    elif what != "absent":
        path.mkdir()
    if what == "other":
        (path / "results.json").write_text("{}")
    with pytest.raises(UserError, match=rf"{what}' holds no records/\*\.json and no plan\.json\. Give the directory"):
        shown(path)


def test_looking_changes_nothing_and_needs_no_model(tmp_path: Path) -> None:
    store = small_store(tmp_path, small_records(3), left=1)
    store.record_path(small_records(3)[2].key).write_text("{")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code = """
import sys
from ia2_eval.cli import app
app(["status", *sys.argv[1:]], standalone_mode=False)
heavy = {"torch", "transformers", "lm_eval", "pandas", "ray", "peft"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_record_that_goes_while_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a run sets it aside."""
    records = small_records(3)
    store = small_store(tmp_path, records)
    read = Path.read_bytes

    def gone(self: Path) -> bytes:
        if self.stem == records[0].key:
            raise FileNotFoundError(self)
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert glances(store.directory / "records").keys() == {each.key for each in records[1:]}
