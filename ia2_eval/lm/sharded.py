"""One base model sharded over the processes that torchrun or `accelerate launch` started, for training with FSDP."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What these launchers tell every process."""

PATIENCE = timedelta(hours=2)
"""How long a process waits for another: as long as that one may take to read a large model."""


def launched_as_group() -> bool:
    """Whether this process is one of several that belong together."""
    return all(name in os.environ for name in GROUP) and int(os.environ["WORLD_SIZE"]) > 1


def joined() -> bool:
    """Whether this process has joined the others."""
    if not launched_as_group():
        return False
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def join(device: str | None = None) -> str | None:
    """Meet the other processes, if there are any; to be called before anything is written, and once.

    Args:
        device: `cuda` or `cpu`; None for the best one present.

    Returns:
        The device of this process; without other processes what was given.

    Raises:
        UserError: the device cannot be shared in this way.
    """
    if not launched_as_group() or joined():
        return device
    import torch
    import torch.distributed as dist

    from ia2_eval.lm.base_model import best_device

    device = device or best_device()
    if device not in ("cuda", "cpu"):
        raise UserError(
            f"--device {device} is for one process, and {os.environ['WORLD_SIZE']} were started: give cuda or cpu, or "
            "start the command without torchrun"
        )
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise UserError("accelerate was told to use FSDP, which this package does itself: leave --use_fsdp out")
    if device == "cuda":
        local, present = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= present:
            raise UserError(
                f"process {local + 1} of this machine has no GPU: start {present} at most (torchrun's nproc)"
            )
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    return device


def refuse_group(command: str) -> None:
    """
    Raises:
        UserError: several processes were started for a command that does all its work in one.
    """
    if launched_as_group():
        raise UserError(
            f"{os.environ['WORLD_SIZE']} processes were started for `ia2-eval {command}`, which runs in one: start it "
            "without torchrun; for a model that is too large for one GPU see docs/large_models.md"
        )


def read_sharded(read: Callable[[], PreTrainedModel], device: str) -> PreTrainedModel:
    """Read a model on the CPU and keep this process's part of it on a device.

    The processes of a machine take turns, so that its memory holds the weights once.

    Args:
        read: gives the model on the CPU.
        device: of this process, as `join` gave it.

    Raises:
        UserError: the model is of a layout that cannot be sharded.
    """
    import torch
    import torch.distributed as dist
    from ia2_training.data_parallel import wait_for_all
    from ia2_training.sharding import process_mesh, shard

    mesh = process_mesh(torch.device(device))
    model = None
    for turn in range(dist.get_world_size()):
        if turn == int(os.environ["LOCAL_RANK"]):
            try:
                model = shard(read(), mesh)
            except ValueError as error:
                raise UserError(f"the model cannot be sharded over processes: {error}") from error
        wait_for_all()
    assert model is not None
    return model
