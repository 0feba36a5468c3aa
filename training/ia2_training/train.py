"""One training phase: minimise one loss over the adapter, watched on a dev set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .batches import Batch
from .config import TrainingConfig
from .course import Course, PhaseHistory, chunks
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
    dev_rows = chunks(range(len(dev.sequences)), config.micro_batch_size or config.batch_size)
    dev_batches = [dev.batch(rows, model.device) for rows in dev_rows]
    course = Course(phase, config)
    best_weights: list[Tensor] = []

    def check() -> None:
        train_loss = course.train_losses[-1].item() if course.train_losses else None
        dev_loss = _dev_loss(model, loss, dev_batches, config) if dev_batches else None
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
    for micro_rows in chunks(rows, config.micro_batch_size or len(rows)):
        batch, targets = data.batch(micro_rows, model.device)
        part = loss(model, batch, targets, float32=config.float32_losses).sum() / len(rows)
        part.backward()  # type: ignore[no-untyped-call]
        parts.append(part.detach())
    optimiser.step()
    return torch.stack(parts).sum()


@torch.no_grad()
def _dev_loss(
    model: PreTrainedModel | PeftModel,
    loss: Loss,
    batches: list[tuple[Batch, list[Targets]]],
    config: TrainingConfig,
) -> float:
    losses = torch.cat([loss(model, batch, targets, float32=config.float32_losses) for batch, targets in batches])
    return losses.to(torch.promote_types(losses.dtype, torch.float32)).mean().item()
