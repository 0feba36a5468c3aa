from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from ia2_training import Check, LoraAdapter, Targets, TrainingConfig, attach
from ia2_training.batches import Batch, TokenSequence
from ia2_training.course import Course
from ia2_training.losses import Response
from ia2_training.phases import Phase, PhaseData
from ia2_training.train import train_phase
from torch import Tensor
from transformers import PreTrainedModel


def data(response: int, examples: int) -> PhaseData:
    """Prompts 10, 11, ..., all with the same response."""
    return PhaseData(tuple(TokenSequence((10 + row,), (response,)) for row in range(examples)))


class Recording:
    """Remembers the batches; the loss is a sum of parameters that no step can bring down for good."""

    name = "recording"
    response: Response = "ground_truth"

    def __init__(self) -> None:
        self.trained: list[tuple[list[int], set[int]]] = []

    def __call__(self, model: PreTrainedModel, batch: Batch, targets: Sequence[Targets], *, float32: bool) -> Tensor:
        if torch.is_grad_enabled():
            self.trained.append((batch.input_ids[:, -1].tolist(), set(batch.response_ids.flatten().tolist())))
        parameter: Tensor = next(value for value in model.parameters() if value.requires_grad)
        return parameter.double().sum().expand(len(batch.input_ids))


def quiet(_: Check) -> None:
    pass


def test_epoch_e_is_trained_on_entry_e_modulo_their_number(qwen3: PreTrainedModel) -> None:
    loss = Recording()
    phase = Phase(loss, tuple(data(response, 6) for response in (1, 2, 3)), data(9, 0))
    history = train_phase(attach(qwen3, LoraAdapter(), seed=0), phase, TrainingConfig(epochs=5, seed=4), quiet)
    assert history.steps == len(loss.trained) == 10, "two steps an epoch"
    for epoch in range(5):
        (one, responses), (other, more) = loss.trained[2 * epoch : 2 * epoch + 2]
        assert sorted(one + other) == list(range(10, 16)) and len(one) == 4
        assert responses == more == {1 + epoch % 3}
    single = Course(Phase(loss, (data(1, 6),), data(9, 0)), TrainingConfig(epochs=5, seed=4))
    assert [[10 + row for row in (single.next_batch() or (None, []))[1]] for _ in range(10)] == [
        rows for rows, _ in loss.trained
    ], "the order of the examples is that of a single entry"
    assert single.next_batch() is None


def test_a_phase_takes_a_step_before_it_gives_up() -> None:
    course = Course(Phase(Recording(), (data(1, 4),), data(1, 1)), TrainingConfig(patience=1))
    assert not course.see(float("nan"))  # before the first step
    assert course.next_batch() is not None


def test_a_course_ends_when_patience_runs_out() -> None:
    course = Course(Phase(Recording(), (data(1, 4),), data(1, 1)), TrainingConfig(patience=2))
    for dev_loss in (3.0, 2.0, 2.0, float("nan")):
        assert course.next_batch() is not None
        course.train_losses.append(torch.tensor(0.5))
        assert course.see(dev_loss) == (dev_loss == 3.0 or course.steps == 2)
    assert course.next_batch() is None
    history = course.history()
    assert (history.steps, history.best_step, history.kept_step, history.stop_reason) == (4, 2, 2, "patience")
    assert history.dev_loss == 2.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_losses_of_a_phase_are_float32_at_least(qwen3: PreTrainedModel, dtype: torch.dtype) -> None:
    """A dev loss that improves in the last bits only is an improvement under float64."""
    adapted = attach(qwen3.to(dtype), LoraAdapter(), seed=0)
    config = TrainingConfig(learning_rate=1e-13, epochs=3)
    history = train_phase(adapted, Phase(Recording(), (data(1, 4),), data(1, 3)), config, quiet)
    assert list(history.dev_losses) == [0, 1, 2, 3]
    assert history.train_losses == pytest.approx(list(history.dev_losses.values())[:3], rel=1e-15)
    assert (len(set(history.dev_losses.values())) == 4) == (dtype == torch.float64)
