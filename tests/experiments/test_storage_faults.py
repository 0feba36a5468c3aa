"""Disks that are full or cannot be written, a device that is lost, a network that is down."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
from ia2_training import TargetCache, target_cache

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.faults import DeviceLostError
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.train_cells import CellTrainer
from ia2_eval.lm.base_model import locate
from tests.experiments.small_passes import small_passes
from tests.experiments.small_runs import planned, results, small_recipe

RECIPE = small_recipe(methods=["ia2"], learning_rates=[3e-3, 1e-2], epochs=1, limit=2)
WORK = {"training": (CellTrainer, "train"), "evaluation": (Evaluator, "evaluate"), "record": (Store, "write_record")}


def fail(patch: pytest.MonkeyPatch, work: str, error: Exception) -> None:
    def failing(*arguments: Any) -> Any:
        raise error

    patch.setattr(*WORK[work], failing)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("work", WORK)
def test_no_cell_fails_because_of_the_disk(work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, work, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(UserError, match=f"^{tmp_path}: No space left on device. Free some space"):
        small_passes(RECIPE, tmp_path)
    assert not list(tmp_path.glob("records/*"))


@pytest.mark.parametrize("work", ["training", "evaluation"])
def test_no_cell_fails_because_of_the_device(work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, work, torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore"))
    with pytest.raises(DeviceLostError, match="AcceleratorError: CUDA error: an illegal memory access"):
        small_passes(RECIPE, tmp_path)
    assert not list(tmp_path.glob("records/*"))


@pytest.mark.parametrize("work", ["training", "evaluation"])
def test_what_the_network_fails_may_do_better(work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, work, requests.ConnectionError("no route"))
    first, second = planned(RECIPE, locate(RECIPE.base).base)
    run = small_passes(RECIPE, tmp_path, attempts={second.key: 2})
    assert [(r.status, r.transient, r.cause, r.attempt) for r in run.records] == [
        ("failed", True, "ConnectionError: no route", 1),
        ("failed", True, "ConnectionError: no route", 2),
    ]
    assert run.store.record(first.key) == run.records[0]
    monkeypatch.undo()
    again = small_passes(RECIPE, tmp_path, attempts={first.key: 2})
    assert [(r.status, r.transient, r.cause, r.attempt) for r in again.records] == [
        ("ok", False, None, 2),
        ("ok", False, None, 1),
    ]


def test_another_failure_is_no_transient_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "evaluation", ValueError("bad\nand more"))
    run = small_passes(RECIPE, tmp_path)
    assert {(r.status, r.transient, r.cause) for r in run.records} == {("failed", False, "ValueError: bad")}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = sys.platform == "linux" and subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk cannot be mounted here: that takes Linux and root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Leave so many bytes of room, in whole pages; gives the file that takes the rest."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(file.tell() - left)
    return filler


@pytest.mark.parametrize("left", [0, 40_960, 204_800], ids="{} bytes left".format)
def test_a_full_disk_stops_a_run_that_goes_on_later(left: int, disk: Path, tmp_path: Path) -> None:
    """At the teacher's targets, at adapters, and at samples or records."""
    filler = fill(disk, left)
    out = disk / "out"
    with pytest.raises(UserError, match=r"No space left on device\. Free some space"):
        small_passes(RECIPE, out)
    assert all(name.endswith((".safetensors", ".json", ".jsonl")) for name in files(out))
    assert not list(out.glob("records/*"))
    assert all((path / "training.json").is_file() for path in out.glob("adapters/*"))
    filler.unlink()
    done = small_passes(RECIPE, out)
    assert results(done.records) == results(small_passes(RECIPE, tmp_path / "undisturbed").records)


def test_a_disk_that_cannot_be_written(disk: Path) -> None:
    (disk / "out").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(UserError, match=r"Read-only file system\. Make it readable and writable"):
        small_passes(RECIPE, disk / "out")


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomically(tmp_path / "file", b"before")

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"after")
    assert files(tmp_path) == ["file"] and path.read_bytes() == b"before"


def test_adapters_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    def whole(directory: Path) -> None:
        (directory / "adapter_model.safetensors").write_bytes(b"x")

    def half(directory: Path) -> None:
        whole(directory)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Store(tmp_path).write_adapters({"a": whole, "b": half})
    assert files(tmp_path) == []


@pytest.mark.parametrize("full", [True, False], ids=["a full disk", "half a file"])
def test_targets_that_cannot_be_written_leave_nothing(
    full: bool, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError("os error 28")

    if full:
        directory: Path = request.getfixturevalue("disk")
        fill(directory, 0)
    else:
        directory = tmp_path
        monkeypatch.setattr(target_cache, "save_file", half)
    cache = TargetCache(directory / "targets", "base")
    targets: Any = type("Targets", (), {"response_ids": (1,), "activations": torch.zeros(9000)})
    targets.log_probabilities = targets.token_ids = None
    with pytest.raises(Exception, match="os error 28"):
        cache._write("key", [targets], 0)
    assert files(directory) == (["filler"] if full else [])
