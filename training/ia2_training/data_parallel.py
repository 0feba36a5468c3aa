"""Several processes that train the same adapters on one base, sharded over them: each has a share of the rows of every
step, and all take the same step.

Without a process group (`torch.distributed`) everything here does nothing. Within one, all processes must forward and
run backward equally often, for each pass gathers the base's weights from all of them; decisions come from numbers that
all have, or from the main process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Share(NamedTuple):
    """What one process forwards of some rows."""

    rows: list[int]
    """As many on every process."""
    own: int
    """How many of them count, the first ones; the rest only keeps step with other processes."""

    def chunks(self, size: int) -> list[Share]:
        """The same in shares of at most `size` rows."""
        starts = range(0, len(self.rows), size)
        return [Share(self.rows[start : start + size], max(0, min(size, self.own - start))) for start in starts]


def processes() -> int:
    """Number of processes of the group; 1 without one."""
    return dist.get_world_size() if _in_group() else 1


def rank() -> int:
    """Number of this process in the group, from 0."""
    return dist.get_rank() if _in_group() else 0


def is_main_process() -> bool:
    """Whether this process writes and speaks for all."""
    return rank() == 0


def share_of(rows: Sequence[int]) -> Share:
    """Every n-th row for n processes, from this one's rank on; all of them without a group."""
    own = list(rows[rank() :: processes()])
    most = -(-len(rows) // processes())
    return Share(own + list(rows[:1]) * (most - len(own)), len(own))


def summed(tensor: Tensor) -> Tensor:
    """The sum of the tensors of all processes, bit for bit the same on each; without a group the tensor itself."""
    if _in_group():
        tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(tensor)
    return tensor


def from_all(own: Tensor, count: int) -> Tensor:
    """The values [count] of all rows, of which this process has those of its share."""
    if not _in_group():
        return own
    values = own.new_zeros(count)
    values[rank() :: processes()] = own
    return summed(values)


def sum_gradients(parameters: Sequence[nn.Parameter | Tensor]) -> None:
    """Replace the gradients by their sums over all processes."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if _in_group() and gradients:
        sums = summed(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(sums, [gradient.numel() for gradient in gradients])
        for gradient, total in zip(gradients, parts, strict=True):
            gradient.copy_(total.view_as(gradient))


def decided_by_main(question: Callable[[], bool]) -> bool:
    """What the main process answers, which alone is asked: files may appear between two looks at them."""
    if not _in_group():
        return question()
    return bool(summed(torch.tensor(int(is_main_process() and question()))))


def wait_for_all() -> None:
    """Go on when all processes are here."""
    if _in_group():
        summed(torch.zeros(()))


def _in_group() -> bool:
    return dist.is_available() and dist.is_initialized()
