"""One training phase: minimise one loss over the adapter, watched on a dev set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .batches import Batch
from .config import TrainingConfig
from .course import Course, PhaseHistory
from .data_parallel import from_all, share_of, sum_gradients, summed
from .losses import Loss
from .phases import Phase, PhaseData
from .progress import Check
from .targets import Targets

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

__all__ = ["PhaseHistory", "train_phase"]


def train_phase(
    model: PreTrainedModel | PeftModel, phase: Phase, config: TrainingConfig, report: Callable[[Check], None]
) -> PhaseHistory:
    """Train what requires gradients with a fresh optimiser, and leave the weights that `config.keep` asks for.

    The model is in eval mode: the adapter has no dropout, and the frozen base must not have any.
    """
    model.eval()
    loss, dev = phase.loss, phase.dev
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, fused=model.device.type in ("cpu", "cuda"))
    dev_shares = share_of(range(len(dev.sequences))).chunks(config.micro_batch_size or config.batch_size)
    dev_batches = [(*dev.batch(share.rows, model.device), share.own) for share in dev_shares]
    course = Course(phase, config)
    best_weights: list[Tensor] = []

    def check() -> None:
        train_loss = course.train_losses[-1].item() if course.train_losses else None
        dev_loss = _dev_loss(model, loss, dev_batches, len(dev.sequences), config) if dev_batches else None
        if dev_loss is not None and course.see(dev_loss):
            best_weights[:] = [parameter.detach().clone() for parameter in parameters]
        report(Check(loss.name, course.steps, course.budget, train_loss, dev_loss))

    if config.step_zero:
        check()
    while (batch := course.next_batch()) is not None:
        course.train_losses.append(_optimiser_step(model, loss, *batch, optimiser, config))
        if course.check_is_due:
            check()
    with torch.no_grad():
        for parameter, best in zip(parameters, best_weights, strict=False):  # there are none if the last ones are kept
            parameter.copy_(best)
    return course.history()


def _optimiser_step(
    model: PreTrainedModel | PeftModel,
    loss: Loss,
    data: PhaseData,
    rows: list[int],
    optimiser: torch.optim.Optimizer,
    config: TrainingConfig,
) -> Tensor:
    """One step on the mean of the losses of the rows; that mean, a scalar, before the step."""
    optimiser.zero_grad()
    parts = []
    for share in share_of(rows).chunks(config.micro_batch_size or len(rows)):
        batch, targets = data.batch(share.rows, model.device)
        part = loss(model, batch, targets, float32=config.float32_losses)[: share.own].sum() / len(rows)
        part.backward()  # type: ignore[no-untyped-call]
        parts.append(part.detach())
    sum_gradients([parameter for group in optimiser.param_groups for parameter in group["params"]])
    optimiser.step()
    return summed(torch.stack(parts).sum())


@torch.no_grad()
def _dev_loss(
    model: PreTrainedModel | PeftModel,
    loss: Loss,
    batches: list[tuple[Batch, list[Targets], int]],
    rows: int,
    config: TrainingConfig,
) -> float:
    """Mean loss of all rows; the batches are this process's share, and the first so many rows of each count."""
    own = [loss(model, batch, targets, float32=config.float32_losses)[:count] for batch, targets, count in batches]
    losses = from_all(torch.cat(own), rows)
    return losses.to(torch.promote_types(losses.dtype, torch.float32)).mean().item()
