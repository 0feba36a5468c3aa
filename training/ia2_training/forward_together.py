"""Forward passes of several adapters on their base: every adapter with rows of its own.

Shapes: K adapters, B rows of a pass, C of them that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .batches import Batch, make_batch
from .data_parallel import processes, share_of, summed
from .grouped_lora import GroupedLora
from .last_positions import last_positions_only
from .losses import Loss
from .passes import passes
from .phases import PhaseData
from .targets import Targets

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rows = tuple[PhaseData, Sequence[int]]
"""Some rows of a set."""


class Pass(NamedTuple):
    """A batch, and whose rows they are."""

    batch: Batch
    targets: list[Targets]
    adapters: Tensor
    """[B] int64, the adapter of each row."""
    counts: Tensor
    """[C] int64, the number of rows of that adapter in all passes and processes. The first C rows count, which are all
    but those that only keep step with other processes."""


def cut_into_passes(rows: Sequence[Rows], most: int, device: torch.device) -> list[Pass]:
    """The passes for the rows of K adapters.

    Args:
        rows: of each adapter.
        most: rows of one pass at most; of several processes, of the share of each.
        device: where to put the batches.
    """
    flat = [(adapter, data, row) for adapter, (data, numbers) in enumerate(rows) for row in numbers]
    sequences = [data.sequences[row] for _, data, row in flat]
    lengths = [len(sequence.prompt_ids) + len(sequence.response_ids) - 1 for sequence in sequences]
    cut = []
    for together in passes(lengths, most * processes()):
        members, own = share_of(together)
        adapters = [flat[member][0] for member in members]
        cut.append(
            Pass(
                make_batch([sequences[member] for member in members], device=device),
                [data.targets[row] for _, data, row in (flat[member] for member in members) if data.targets],
                torch.tensor(adapters, device=device),
                torch.tensor([len(rows[adapter][1]) for adapter in adapters[:own]], device=device),
            )
        )
    return cut


def mean_losses(
    model: PreTrainedModel, lora: GroupedLora, loss: Loss, parts: Sequence[Pass], *, float32: bool, backward: bool
) -> Tensor:
    """Mean loss of the rows of each adapter, [K], 0 where it has none; float32, or float64 like the model.

    With `backward` the gradient of each mean is added to that of its adapter; it depends on no other adapter.
    Of several processes each adds that of its own rows (`data_parallel.sum_gradients`).
    """
    means = torch.zeros(len(lora.weights), dtype=torch.promote_types(lora.weights.dtype, torch.float32))
    means = means.to(model.device)
    for part in parts:
        positions = part.batch.response_ids.shape[1]
        with torch.set_grad_enabled(backward), lora.rows(part.adapters), last_positions_only(model, positions):
            losses = loss(model, part.batch, part.targets, float32=float32)[: len(part.counts)]  # [C]
            weighted = losses.to(means.dtype) / part.counts
            if backward:
                weighted.sum().backward()  # type: ignore[no-untyped-call]
        # index_add_ would be the plainer way, but sums in any order on a GPU.
        own = part.adapters[: len(part.counts)] == torch.arange(len(means), device=means.device)[:, None]  # [K, C]
        means += torch.where(own, weighted.detach(), 0).sum(1)
    return summed(means)
