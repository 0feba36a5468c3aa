"""One training phase of several adapters of the same base, each as `train_phase` would train it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .config import TrainingConfig
from .course import Course, PhaseHistory
from .data_parallel import sum_gradients
from .forward_together import Pass, Rows, cut_into_passes, mean_losses
from .grouped_lora import GroupedLora
from .phases import Phase
from .progress import Check
from .stacked_adam import StackedAdam

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train_phase_together(
    model: PreTrainedModel,
    lora: GroupedLora,
    phases: Sequence[Phase],
    configs: Sequence[TrainingConfig],
    report: Callable[[Check], None],
) -> list[PhaseHistory]:
    """Train adapters on one loss, and leave in `lora` the weights that `keep` asks for.

    All take a step at the same time. One that is done leaves, with its weights, its optimiser state and its rows.

    Args:
        model: the base model, with the adapters on it.
        lora: the adapters.
        phases: what each of them is trained on; the loss is the same.
        configs: how each of them is trained; the same but for learning rate and seed.
        report: called after every step at which adapters were checked, with their mean losses.
    """
    model.eval()
    loss, config = phases[0].loss, configs[0]
    courses = [Course(phase, config) for phase, config in zip(phases, configs, strict=True)]
    optimiser = StackedAdam(lora.weights, [config.learning_rate for config in configs])
    final = dict(zip(courses, lora.weights.detach().clone(), strict=True))  # what each is to end with, so far
    training = courses  # those that are not done, in the order of `lora`
    dev_passes: dict[tuple[Course, ...], list[Pass]] = {}  # by who is checked

    def passes(rows: Sequence[Rows]) -> list[Pass]:
        return cut_into_passes(rows, config.micro_batch_size or config.batch_size * len(training), model.device)

    def losses(parts: Sequence[Pass], backward: bool) -> Tensor:
        return mean_losses(model, lora, loss, parts, float32=config.float32_losses, backward=backward)

    def check(due: tuple[Course, ...]) -> None:
        if due not in dev_passes:
            dev_sets = [course.phase.dev for course in training]
            sizes = [len(dev.sequences) if course in due else 0 for course, dev in zip(training, dev_sets, strict=True)]
            dev_passes[due] = passes([(dev, range(size)) for dev, size in zip(dev_sets, sizes, strict=True)])
        dev_losses = {}
        for place, dev_loss in enumerate(losses(dev_passes[due], backward=False).tolist()):
            course = training[place]
            if course in due and course.phase.dev.sequences:
                dev_losses[course] = dev_loss
                if course.see(dev_loss):
                    final[course] = lora.weights.detach()[place].clone()
        report(
            Check(
                phase=f"{loss.name} ({len(training)} of {len(courses)} adapters)",
                step=max(course.steps for course in due),
                budget=max(course.budget for course in courses),
                train_loss=_mean([course.train_losses[-1].item() for course in due if course.train_losses]),
                dev_loss=_mean(list(dev_losses.values())),
            )
        )

    if config.step_zero:
        check(tuple(training))
    while True:
        batches = [course.next_batch() for course in training]
        staying = [place for place, batch in enumerate(batches) if batch is not None]
        if len(staying) < len(training):
            for place, course in enumerate(training):
                if place not in staying and not course.ends_with_best:
                    final[course] = lora.weights.detach()[place].clone()
            if not staying:
                break
            lora.keep(staying)
            optimiser.keep(staying)
            training = [training[place] for place in staying]
            dev_passes.clear()
        train_losses = losses(passes([batch for batch in batches if batch is not None]), backward=True)
        sum_gradients([lora.weights])
        optimiser.step(lora.weights)
        lora.weights.grad = None
        for course, train_loss in zip(training, train_losses, strict=True):
            course.train_losses.append(train_loss)
        due = tuple(course for course in training if course.check_is_due)
        if due:
            check(due)
    lora.weights = torch.stack([final[course] for course in courses]).requires_grad_()
    return [course.history() for course in courses]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
