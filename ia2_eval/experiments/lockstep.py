"""One worker made of several processes (torchrun), which hold a sharded base and run the same passes at the same time.

The main process is the worker: it takes leases and writes. The others follow: they are told every pass, run it too,
and write nothing. A process that fails alone would leave the others waiting, so within a group every exception ends
the process, and its launcher ends the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.interruption import remembered
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.record import Record, StoredTraining
from ia2_eval.experiments.run_pass import PassRunner
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import BaseFiles, load, use_threads_for
from ia2_eval.lm.sharded import joined, launched_as_group


def leads() -> bool:
    """Whether this process writes: the only one, or the main one of a group."""
    if not joined():
        return True
    from ia2_training.data_parallel import is_main_process

    return is_main_process()


def require_fit(cells: Sequence[Cell]) -> None:
    """
    Raises:
        UserError: cells need whole weights, and this process is one of several that have a part of them each.
    """
    if not joined():
        return
    remedy = "start this recipe without torchrun, a large model with --device auto"
    if any(cell.protocol == "paper" for cell in cells):
        raise UserError(f"the `paper` protocol merges adapters into whole weights, which no process has: {remedy}")
    if any(cell.adapter is not None and cell.adapter.type == "full" for cell in cells):
        raise UserError(f"full fine-tuning (`full`) trains whole weights, which no process has: {remedy}")


def refuse_workers() -> None:
    """
    Raises:
        UserError: this process is one of several that are one worker, and is to start workers of its own.
    """
    if launched_as_group():
        raise UserError(
            f"{os.environ['WORLD_SIZE']} processes were started, which are one worker: leave --workers out, --engine "
            "too, or start the command without torchrun"
        )


@contextmanager
def leading() -> Iterator[None]:
    """Within the context the main process may `tell` the others passes; after it they are done."""
    yield
    _tell(None)  # not after an exception, in the middle of a pass: the launcher ends them


def tell(cells: Sequence[Cell], attempts: Mapping[str, int]) -> None:
    """Have the other processes, if there are any, run a pass that this one runs now."""
    _tell({"cells": [cell.model_dump(mode="json") for cell in cells], "attempts": dict(attempts)})


def wait_for_followers() -> None:
    """Go on when the other processes, if there are any, have come as far."""
    if joined():
        from ia2_training.data_parallel import wait_for_all

        wait_for_all()


def follow(files: BaseFiles, directory: Path, settings: Settings) -> None:
    """Run what the main process tells, until it has no more."""
    runner = None
    store = _FollowersStore(directory)
    with remembered() as interruption:
        while (told := _tell(None)) is not None:
            if runner is None:  # now, for the main process loads its part when it has something to run
                base = load(files, settings.device)
                use_threads_for(base.model)
                runner = PassRunner(files, base, store, settings, _silent(), interruption)
            runner.run([Cell.model_validate(cell) for cell in told["cells"]], told["attempts"])


class _FollowersStore(Store):
    """The directory of a run, in which the main process writes."""

    def training(self, key: str, on_damaged: Callable[[Path, str], None] | None = None) -> StoredTraining | None:
        return super().training(key)  # the main process sets aside

    def write_record(self, record: Record) -> None:
        pass

    def write_rows(self, path: str, rows: Iterable[BaseModel]) -> str:
        return path

    def write_adapters(self, write: Mapping[str, Callable[[Path], None]]) -> None:
        wait_for_followers()


def _tell(message: dict[str, Any] | None) -> dict[str, Any] | None:
    """The message of the main process, on every process; as JSON, its length first."""
    if not joined():
        return message
    import torch
    import torch.distributed as dist

    content = torch.tensor(list(json.dumps(message).encode()), dtype=torch.uint8)
    length = torch.tensor(len(content))
    dist.broadcast(length, src=0)
    if not leads():
        content = torch.empty(int(length), dtype=torch.uint8)
    dist.broadcast(content, src=0)
    told: dict[str, Any] | None = json.loads(bytes(content.tolist()))
    return told


def _silent() -> Progress:
    return Progress(
        training_started=lambda cells: None,
        training=lambda check: None,
        together_failed=lambda cells, error: None,
        cell_started=lambda cell: None,
        cell_finished=lambda record: None,
        damaged=lambda path, reason: None,
    )
