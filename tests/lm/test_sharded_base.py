"""A base that two processes have between them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import torch
from ia2_training import LoraAdapter, attach, detach

from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.merged import merged_adapter
from ia2_eval.lm.sharded import join, joined, launched_as_group, refuse_group
from tests.lm import sharded_evaluation


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes says."""
    out = tmp_path_factory.mktemp("sharded")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    group["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    running = [
        subprocess.Popen(
            [sys.executable, sharded_evaluation.__file__, str(out)],
            env=os.environ | group | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


def test_all_processes_answer_what_one_alone_does(told: list[dict[str, Any]]) -> None:
    alone = sharded_evaluation.answers(load(locate(Base(model="embedded")), "cpu"))
    assert told[0] == told[1]
    for model in ("base", "adapter"):
        mine, theirs = alone[model], told[0]["answers"][model]
        assert theirs["texts"] == mine["texts"]
        assert theirs["likelihoods"] == pytest.approx(mine["likelihoods"], abs=1e-5)
    assert alone["base"] != alone["adapter"]


def test_what_needs_whole_weights_is_refused(told: list[dict[str, Any]]) -> None:
    assert "Full fine-tuning needs whole weights in every process" in told[0]["refusals"]["full"]
    assert "the `paper` protocol evaluates adapters merged into whole weights" in told[0]["refusals"]["merged"]


def test_sharded_weights_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    base = load(locate(Base(model="embedded")), "cpu")
    before = base.model.get_parameter("model.layers.0.self_attn.q_proj.weight").clone()
    adapted = attach(base.model, LoraAdapter(), seed=0)
    monkeypatch.setattr("ia2_training.sharding.is_sharded", lambda model: True)
    with pytest.raises(UserError, match="merged into whole weights, and the model is sharded"), merged_adapter(adapted):
        pytest.fail("merged")
    assert torch.equal(detach(adapted).get_parameter("model.layers.0.self_attn.q_proj.weight"), before)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the second process of three."""
    names = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)


def test_one_process_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not launched_as_group() and not joined()
    assert (join("auto"), join("cpu"), join()) == ("auto", "cpu", None)
    refuse_group("evaluate")
    monkeypatch.setenv("WORLD_SIZE", "3")  # some schedulers say this of machines
    assert not launched_as_group()


@pytest.mark.usefixtures("group")
def test_devices_that_a_group_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched_as_group() and not joined()
    for device in ("auto", "mps"):
        with pytest.raises(UserError, match=f"--device {device} is for one process, and 3 were started"):
            join(device)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match=r"process 2 of this machine has no GPU: start 1 at most"):
        join("cuda")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="leave --use_fsdp out"):
        join("cpu")
    assert not joined()


@pytest.mark.usefixtures("group")
def test_a_command_for_one_process() -> None:
    with pytest.raises(UserError, match=r"3 processes were started for `ia2-eval analyze`, which runs in one"):
        refuse_group("analyze")
