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

from .activations import Output, layer_count, record_activations
from .alignment import Alignment, distance_per_example
from .batches import Batch, pad_left
from .targets import Targets

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

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

    def __call__(
        self, model: PreTrainedModel | PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool
    ) -> Tensor:
        """The loss of each example.

        Args:
            model: the student.
            batch: B prompts with their responses.
            targets: B targets of the teacher; empty when the response is the ground truth.
            float32: compare in float32; otherwise in the dtype of the model where the published code does so.

        Returns:
            [B].
        """


def cross_entropy(logits: Tensor, response_ids: Tensor, response_mask: Tensor) -> Tensor:
    """Cross-entropy with hard labels, averaged over response tokens, in float32 at least as in Hugging Face models.

    Args:
        logits: [B, G, V].
        response_ids: [B, G].
        response_mask: [B, G] bool.

    Returns:
        [B] float32 (float64 if the logits are).
    """
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # cross_entropy wants the classes second.
    per_token = nn.functional.cross_entropy(exact.transpose(1, 2), response_ids, reduction="none")  # [B, G]
    return (per_token * response_mask).sum(1) / response_mask.sum(1)


def soft_label_divergence(logits: Tensor, teacher: Tensor, token_ids: Tensor | None, response_mask: Tensor) -> Tensor:
    """KL(teacher || student), summed over the vocabulary, averaged over response tokens; temperature 1.

    Of a teacher of whom only the k most probable tokens are known, the remaining mass is spread evenly over the other
    V - k tokens, as in the public code of arXiv 2509.22621.

    Args:
        logits: the student's, [B, G, V].
        teacher: log-probabilities, [B, G, V], or [B, G, k] of the tokens in `token_ids`.
        token_ids: [B, G, k] int64, without repeats; None where the teacher's whole distribution is given.
        response_mask: [B, G] bool.

    Returns:
        [B] float32 (float64 if the logits are).
    """
    exact = torch.promote_types(logits.dtype, torch.float32)
    student = logits.to(exact).log_softmax(-1)  # [B, G, V]
    teacher = teacher.to(exact).clamp_min(torch.finfo(exact).min)  # 0 log 0 = 0, not 0 times infinity
    known = student if token_ids is None else student.gather(-1, token_ids)  # [B, G, V or k]
    per_token = (teacher.exp() * (teacher - known)).sum(-1)  # [B, G]
    others = logits.shape[-1] - known.shape[-1]
    if others:
        rest = (1 - teacher.exp().sum(-1)).clamp_min(0)  # [B, G]
        each = rest / others
        log_each = each.clamp_min(torch.finfo(exact).tiny).log()
        per_token = per_token + rest * log_each - each * (student.sum(-1) - known.sum(-1))
    return per_token.masked_fill(~response_mask, 0).sum(1) / response_mask.sum(1)


@dataclass(frozen=True)
class AlignmentLoss:
    """IA2: the activations of the student approach those of the teacher (`alignment.distance_per_example`).

    The student reads the prompt and the teacher's response; positions P..P+G-1, which predict the G response tokens,
    are aligned. Gradients flow through all earlier layers.
    """

    alignment: Alignment = Alignment()
    name: str = "alignment"
    response: Response = "teacher"

    def __call__(
        self, model: PreTrainedModel | PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool
    ) -> Tensor:
        # The head cannot be left out; one position is the least it takes.
        return _aligned(model, batch, targets, self.alignment, logits_to_keep=1, float32=float32)[0]


@dataclass(frozen=True)
class CrossEntropyLoss:
    """Supervised fine-tuning: the student predicts the answer of the example, or the teacher's output."""

    response: Response = "ground_truth"
    name: str = "cross_entropy"

    def __call__(
        self, model: PreTrainedModel | PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool
    ) -> Tensor:
        logits = batch.logits(model, last=batch.response_ids.shape[1])
        return cross_entropy(logits, batch.response_ids, batch.response_mask)


@dataclass(frozen=True)
class JointLoss:
    """IA2 + SFT in one forward pass: (1 - w) alignment + w cross-entropy, both on the teacher's output."""

    sft_weight: float
    alignment: Alignment = Alignment()
    name: str = "joint"
    response: Response = "teacher"

    def __call__(
        self, model: PreTrainedModel | PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool
    ) -> Tensor:
        positions = batch.response_ids.shape[1]
        aligned, logits = _aligned(model, batch, targets, self.alignment, logits_to_keep=positions, float32=float32)
        labelled = cross_entropy(logits, batch.response_ids, batch.response_mask)
        return (1 - self.sft_weight) * aligned + self.sft_weight * labelled


@dataclass(frozen=True)
class SoftLabelLoss:
    """SFT with soft labels: the student approaches the teacher's distributions (`soft_label_divergence`)."""

    top_k: int | None = None
    name: str = "soft_labels"
    response: Response = "teacher"

    def __call__(
        self, model: PreTrainedModel | PeftModel, batch: Batch, targets: Sequence[Targets], *, float32: bool
    ) -> Tensor:
        positions = batch.response_ids.shape[1]
        logits = batch.logits(model, last=positions)  # [B, G, V]
        distributions = [target.distributions(self.top_k) for target in targets]
        teacher = _right_aligned([log_probabilities for log_probabilities, _ in distributions], positions)
        ids = [token_ids for _, token_ids in distributions if token_ids is not None]
        token_ids = _right_aligned(ids, positions).to(logits.device) if ids else None
        return soft_label_divergence(logits, teacher.to(logits.device), token_ids, batch.response_mask)


def _aligned(
    model: PreTrainedModel | PeftModel,
    batch: Batch,
    targets: Sequence[Targets],
    alignment: Alignment,
    *,
    logits_to_keep: int,
    float32: bool,
) -> tuple[Tensor, Tensor]:
    """Distance of the activations [B] and the logits [B, logits_to_keep, V] of one forward pass."""
    positions = batch.response_ids.shape[1]
    layers = alignment.layer_indices(layer_count(model))
    with record_activations(model, positions, alignment.output, layers) as outputs:
        logits = batch.logits(model, last=logits_to_keep)
    student = torch.stack(outputs, dim=1)  # [B, L, G, d]
    teacher = _teacher_activations(targets, alignment.output, layers, layer_count(model), positions)
    teacher = teacher.to(student.device)
    if teacher.shape != student.shape:
        raise ValueError(
            f"The targets hold activations {list(teacher.shape)} [B, L, G, d], the student gives "
            f"{list(student.shape)}: they were collected from another model. Collect them again."
        )
    distance = distance_per_example(student, teacher, batch.response_mask, distance=alignment.distance, float32=float32)
    return distance, logits


def _teacher_activations(
    targets: Sequence[Targets], output: Output, layers: Sequence[int], layers_of_model: int, positions: int
) -> Tensor:
    """Activations [B, L, positions, d] of some layers, zero before the response of a row begins."""
    activations = [target.activations for target in targets]  # B tensors [layers_of_model, G_b, d]
    for target, rows in zip(targets, activations, strict=True):
        if target.output != output:
            raise ValueError(f"The targets hold {target.output!r} activations, not {output!r}. Collect them again.")
        if len(rows) != layers_of_model:
            raise ValueError(
                f"The targets hold activations of {len(rows)} layers, the model has {layers_of_model}: they were "
                "collected from another model. Collect them again."
            )
    if list(layers) != list(range(layers_of_model)):  # indexing copies
        activations = [rows[list(layers)] for rows in activations]
    return torch.stack([pad_left(rows, positions, dim=1) for rows in activations])


def _right_aligned(rows: Sequence[Tensor], positions: int) -> Tensor:
    """[B, positions, ...] of B tensors [G_b, ...], zero before they begin."""
    return torch.stack([pad_left(row, positions, dim=0) for row in rows])
