"""What a training phase minimises.

Every loss gives one value per example, so that the mean over a batch is the mean of per-example means, as when single
examples are accumulated. Shapes: B batch, L layers, G response tokens of the longest row, d width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor, nn

from .activations import record_attention_outputs
from .batches import Batch
from .targets import Targets

if TYPE_CHECKING:
    from peft import PeftModel

Response = Literal["ground_truth", "teacher"]


class Loss(Protocol):
    """One way to compare the student, which sees no demonstrations, with what it is to reach."""

    @property
    def name(self) -> str:
        """Names the phase in histories and progress lines, and its random numbers."""

    @property
    def response(self) -> Response:
        """The tokens that follow the prompt: the answer of the example, or what the teacher generated.

        `teacher` asks for collected targets.
        """

    def __call__(self, model: PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool) -> Tensor:
        """The loss of each example.

        Args:
            model: the student.
            batch: B prompts with their responses.
            targets: B targets of the teacher; empty when the response is the ground truth.
            float32: compare in float32; otherwise in the dtype of the model where the published code does so.

        Returns:
            [B].
        """


def alignment(student: Tensor, teacher: Tensor, response_mask: Tensor, *, float32: bool = True) -> Tensor:
    """Squared distance of activations, averaged over response positions and width, summed over layers.

    arXiv 2509.22621, section 3, as its public code computes it: the mean over all L * G * d elements, times L, in the
    dtype of the model (bfloat16 there), which quantises the value that early stopping looks at. `float32` computes the
    same in float32.

    Args:
        student: [B, L, G, d].
        teacher: [B, L, G, d].
        response_mask: [B, G] bool.
        float32: compute in float32 instead of the dtype of `student`.

    Returns:
        [B], float32 or the dtype of `student`.
    """
    dtype = torch.float32 if float32 else student.dtype
    squared = (student.to(dtype) - teacher.to(dtype)) ** 2  # [B, L, G, d]
    per_position = squared.mean(-1, dtype=torch.float32) * response_mask[:, None]  # [B, L, G]
    layers = student.shape[1]
    mean = per_position.sum((1, 2)) / (layers * response_mask.sum(1))  # [B]
    return mean.to(dtype) * layers


def cross_entropy(logits: Tensor, response_ids: Tensor, response_mask: Tensor) -> Tensor:
    """Cross-entropy with hard labels, averaged over response tokens, in float32 as in Hugging Face models.

    Args:
        logits: [B, G, V].
        response_ids: [B, G].
        response_mask: [B, G] bool.

    Returns:
        [B] float32.
    """
    # cross_entropy wants the classes second.
    per_token = nn.functional.cross_entropy(logits.float().transpose(1, 2), response_ids, reduction="none")  # [B, G]
    return (per_token * response_mask).sum(1) / response_mask.sum(1)


@dataclass(frozen=True)
class AlignmentLoss:
    """IA2: the attention outputs of the student approach those of the teacher (`alignment`).

    The student reads the prompt and the teacher's response; positions P..P+G-1, which predict the G response tokens,
    are aligned. Gradients flow through all earlier layers.
    """

    name: str = "alignment"
    response: Response = "teacher"

    def __call__(self, model: PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool) -> Tensor:
        positions = batch.response_ids.shape[1]
        with record_attention_outputs(model, last=positions) as outputs:
            batch.logits(model, last=1)  # the head cannot be left out; one position is the least it takes
        student = torch.stack(outputs, dim=1)  # [B, L, G, d]
        teacher = _pad_activations(targets, positions).to(student.device, non_blocking=True)
        if teacher.shape != student.shape:
            raise ValueError(
                f"The targets hold activations {list(teacher.shape)} [B, L, G, d], the student gives "
                f"{list(student.shape)}: they were collected from another model. Collect them again."
            )
        return alignment(student, teacher, batch.response_mask, float32=float32)


@dataclass(frozen=True)
class CrossEntropyLoss:
    """Supervised fine-tuning: the student predicts the ground-truth answer (`cross_entropy`)."""

    name: str = "cross_entropy"
    response: Response = "ground_truth"

    def __call__(self, model: PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool) -> Tensor:
        logits = batch.logits(model, last=batch.response_ids.shape[1])
        return cross_entropy(logits, batch.response_ids, batch.response_mask)


def _pad_activations(targets: Sequence[Targets], positions: int) -> Tensor:
    """Activations [B, L, positions, d] of the targets, zero before the response of a row begins."""
    activations = [target.activations for target in targets]  # B tensors [L, G_b, d]
    return torch.stack([nn.functional.pad(rows, (0, 0, positions - rows.shape[1], 0)) for rows in activations])
