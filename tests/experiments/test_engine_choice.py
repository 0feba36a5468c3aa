"""How many workers there are, and on what; the GPUs are played."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines import choice as choice_module
from ia2_eval.experiments.engines.choice import EngineChoice, choose, require_sensible
from ia2_eval.experiments.engines.local import LocalEngine
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.settings import Settings
from tests.experiments.small_runs import EMBEDDED


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(choice_module, "cores", lambda: 8)


@pytest.mark.parametrize(
    ("choice", "device", "divided"),
    [
        (EngineChoice(), None, (("0",), ("1",), ("2",), ("3",))),
        (EngineChoice(workers=3), "cuda", (("0",), ("1",), ("2",))),
        (EngineChoice(gpus_per_worker=2), None, (("0", "1"), ("2", "3"))),
        (EngineChoice(workers=1, gpus_per_worker=3), None, (("0", "1", "2"),)),
        (EngineChoice(workers=8), "cpu", None),
    ],
)
def test_workers_share_what_there_is(
    choice: EngineChoice, device: str | None, divided: tuple[tuple[str, ...], ...] | None
) -> None:
    chosen = choose(choice, Settings(device=device))
    assert isinstance(chosen.engine, LocalEngine) and chosen.engine.gpus == divided
    assert chosen.workers == len(divided or range(8))
    assert chosen.settings.device == ("auto" if choice.gpus_per_worker > 1 else device)


@pytest.mark.parametrize(("workers", "device"), [(1, None), (1, "cuda"), (None, "auto"), (None, "cpu")])
def test_one_worker_is_this_process(workers: int | None, device: str | None) -> None:
    assert choose(EngineChoice(workers=workers), Settings(device=device)).engine is None


def test_gpus_are_named_as_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    engine = choose(EngineChoice(), Settings()).engine
    assert isinstance(engine, LocalEngine) and engine.gpus == (("5",), ("7",))


@pytest.mark.parametrize(
    ("choice", "device", "message"),
    [
        (EngineChoice(workers=5), None, "--workers is 5, and this machine has GPUs for 4 with 1 each"),
        (EngineChoice(workers=3, gpus_per_worker=2), None, "has GPUs for 2 with 2 each"),
        (EngineChoice(gpus_per_worker=5), None, "--gpus-per-worker is 5, and this machine has 4 GPUs"),
        (EngineChoice(workers=9), "cpu", "has 8 CPU cores"),
        (EngineChoice(workers=2), "cuda:0", "--device cuda:0 is of one worker"),
    ],
)
def test_what_is_not_there_is_said_at_once(
    choice: EngineChoice, device: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice_module, "require_device", lambda device: None)
    with pytest.raises(UserError, match=message):
        choose(choice, Settings(device=device))


def test_a_device_is_looked_for_where_no_gpu_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes memory of the GPU, and keeps a worker out of one that bears a single process."""
    looked: list[str] = []
    monkeypatch.setattr(choice_module, "require_device", looked.append)
    choose(EngineChoice(workers=2), Settings(device="cuda"))
    assert looked == []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    choose(EngineChoice(workers=2), Settings(device="cuda"))
    assert looked == ["cuda"]


@pytest.mark.parametrize(
    ("choice", "device", "message"),
    [
        (EngineChoice("locale"), None, "Did you mean 'local'"),
        (EngineChoice(ray_address="auto"), None, "--ray-address 'auto' is of --engine ray"),
        (EngineChoice(gpus_per_worker=2), "cpu", "leave --device out"),
    ],
)
def test_options_that_do_not_go_together(choice: EngineChoice, device: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        require_sensible(choice, Settings(device=device))


def test_a_folder_called_embedded_is_not_the_embedded_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "embedded").mkdir()
    monkeypatch.chdir(tmp_path)
    sweep = Sweep(cells=(), base=EMBEDDED, out=Path("out"), settings=Settings()).from_anywhere()
    assert sweep.base == EMBEDDED and sweep.out == tmp_path / "out"
