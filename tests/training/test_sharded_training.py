"""Training by two processes that share one base, against training by one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ia2_training.data_parallel import Share, decided_by_main, from_all, is_main_process, share_of, summed
from safetensors.torch import load_file

from tests.training import sharded_training

PROCESSES = 2


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, torch.Tensor]]]:
    """What each of the two processes made of all trainings."""
    directory = tmp_path_factory.mktemp("sharded")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": str(PROCESSES), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    group["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    script = sharded_training.__file__
    running = [
        subprocess.Popen(
            [sys.executable, script, str(directory)],
            env=os.environ | group | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(PROCESSES)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(said)
    return directory, [load_file(directory / f"{rank}.safetensors") for rank in range(PROCESSES)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return sharded_training.results(sharded_training.tiny_model(), tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("training", ["teacher", *sharded_training.TRAININGS])
def test_two_processes_train_what_one_does(training: str, both: Any, alone: dict[str, torch.Tensor]) -> None:
    _, (first, second) = both
    names = [name for name in alone if name.startswith(f"{training}: ")]
    assert names and first.keys() == second.keys() == alone.keys()
    for name in names:
        assert torch.equal(first[name], second[name])  # all processes take the same steps, to the bit
        # Adam makes rounding errors of gradients that are almost zero visible.
        torch.testing.assert_close(first[name], alone[name], rtol=1e-5, atol=2e-5)


def test_each_process_keeps_half_of_every_layer(both: Any) -> None:
    directory, _ = both
    for rank in range(PROCESSES):
        count = json.loads((directory / f"{rank}.json").read_text())
        layers = [name for name in count["whole"] if ".self_attn." in name or ".mlp." in name]
        assert len(layers) == 2 * 9
        assert all(count["kept"][name] * PROCESSES == count["whole"][name] for name in layers)
        rest = count["whole"].keys() - layers  # embeddings, head, norms
        assert all(count["kept"][name] == count["whole"][name] for name in rest)


def test_full_fine_tuning_is_refused(both: Any) -> None:
    directory, _ = both
    for rank in range(PROCESSES):
        refused = json.loads((directory / f"{rank}.json").read_text())["refused"]
        assert "Full fine-tuning needs whole weights in every process" in refused


def in_group(monkeypatch: pytest.MonkeyPatch, rank: int, processes: int) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: processes)


@pytest.mark.parametrize("rows", [[], [7], [7, 3], [7, 3, 5, 1], [7, 3, 5, 1, 2]])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares(rows: list[int], processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in range(processes):
        in_group(monkeypatch, rank, processes)
        shares.append(share_of(rows))
    assert sorted(row for share in shares for row in share.rows[: share.own]) == sorted(rows)  # each counts once
    assert len({len(share.rows) for share in shares}) == 1
    for share in shares:
        chunks = share.chunks(2)
        assert [row for chunk in chunks for row in chunk.rows] == share.rows
        assert [row for chunk in chunks for row in chunk.rows[: chunk.own]] == share.rows[: share.own]


def test_without_a_group_nothing_happens() -> None:
    tensor = torch.tensor([1.0, 2.0])
    assert summed(tensor) is tensor and from_all(tensor, 2) is tensor
    assert share_of([3, 1, 2]) == Share([3, 1, 2], 3)
    assert is_main_process() and decided_by_main(lambda: True) and not decided_by_main(lambda: False)
