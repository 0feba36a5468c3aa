"""What a base that several processes have between them refuses; tests/experiments/test_lockstep.py has one at work."""

from __future__ import annotations

import pytest
import torch
from ia2_training import LoraAdapter, attach, detach

from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.merged import merged_adapter
from ia2_eval.lm.sharded import join, joined, launched_as_group, refuse_group


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
