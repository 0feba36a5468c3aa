"""Methods by name. A method is a sequence of phases, each minimising one loss; a new method is one entry of METHODS."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .alignment import Alignment
from .losses import AlignmentLoss, CrossEntropyLoss, JointLoss, Loss, SoftLabelLoss

Labels = Literal["ground_truth", "icl_outputs"]

SFT_WEIGHT = 0.5
"""Weight of cross-entropy in `ia2+sft` unless given."""


@dataclass(frozen=True)
class Method:
    """A method and the choices that it leaves open.

    Raises:
        ValueError: an unknown method, or a choice that makes no sense for it; the reason is given.
    """

    name: str = "ia2_sft"
    """A name in `METHODS`."""
    labels: Labels | None = None
    """What cross-entropy is trained on: the answers of the examples, or the teacher's outputs. None: the answers,
    where a method can use them."""
    sft_weight: float | None = None
    """Of `ia2+sft`: w in (1 - w) alignment + w cross-entropy. None: 0.5."""
    top_k: int | None = None
    """Of `soft_sft`: the teacher's k most probable tokens, the mass of the others being spread evenly over them; None:
    its whole distribution."""
    alignment: Alignment = Alignment()
    """What is aligned, in the methods that align."""

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            near = difflib.get_close_matches(self.name, METHODS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(METHODS)}."
            raise ValueError(f"There is no method {self.name!r}. {hint}")
        faults = self._faults()
        if faults:
            raise ValueError(f"{self.name}: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        names = {loss.name for loss in self.phases}
        faults = []
        if self.labels not in (None, "ground_truth", "icl_outputs"):
            faults.append(f"labels = {self.labels!r}: must be 'ground_truth' or 'icl_outputs'")
        if self.labels is not None and names == {"alignment"}:
            faults.append(f"labels = {self.labels!r}: alignment has no labels; leave them out")
        if self.labels == "ground_truth" and "joint" in names:
            faults.append(
                "labels = 'ground_truth': both losses share one forward pass over the teacher's output, whose "
                "activations are aligned, so its labels are that output: 'icl_outputs'"
            )
        if self.labels == "ground_truth" and "soft_labels" in names:
            faults.append("labels = 'ground_truth': soft labels are the teacher's distributions; 'icl_outputs'")
        if self.sft_weight is not None and "joint" not in names:
            faults.append(f"sft_weight = {self.sft_weight}: only ia2+sft weighs two losses")
        if self.sft_weight is not None and not 0 <= self.sft_weight <= 1:
            faults.append(f"sft_weight = {self.sft_weight}: must be from 0 to 1")
        if self.top_k is not None and "soft_labels" not in names:
            faults.append(f"top_k = {self.top_k}: only soft_sft learns from distributions")
        if self.top_k is not None and self.top_k < 1:
            faults.append(f"top_k = {self.top_k}: must be at least 1, or None for the whole distribution")
        if self.alignment != Alignment() and not names & ALIGNING:
            faults.append("alignment: this method aligns nothing")
        return faults

    @property
    def phases(self) -> tuple[Loss, ...]:
        """The losses that are minimised one after the other."""
        before = self.before_last_phase
        return (*(before.phases if before else ()), METHODS[self.name].last_phase(self))

    @property
    def before_last_phase(self) -> Method | None:
        """The method with all phases of this one but the last (`ia2` for `ia2_sft`); None where there is but one."""
        before = METHODS[self.name].continues
        if before is None:
            return None
        names = {loss.name for loss in Method(before).phases}
        return Method(
            before,
            labels=None if names == {"alignment"} else self.labels,
            alignment=self.alignment if names & ALIGNING else Alignment(),
        )

    @property
    def asks_teacher(self) -> bool:
        """Whether the teacher's outputs are needed."""
        return any(loss.response == "teacher" for loss in self.phases)

    @property
    def asks_distributions(self) -> bool:
        """Whether the teacher's distributions are needed."""
        return any(isinstance(loss, SoftLabelLoss) for loss in self.phases)


class Definition(NamedTuple):
    """What a method adds to the method that it continues."""

    last_phase: Callable[[Method], Loss]
    continues: str | None = None


def _alignment(method: Method) -> Loss:
    return AlignmentLoss(method.alignment)


def _cross_entropy(method: Method) -> Loss:
    return CrossEntropyLoss("teacher" if method.labels == "icl_outputs" else "ground_truth")


def _joint(method: Method) -> Loss:
    return JointLoss(SFT_WEIGHT if method.sft_weight is None else method.sft_weight, method.alignment)


def _soft_labels(method: Method) -> Loss:
    return SoftLabelLoss(method.top_k)


METHODS: dict[str, Definition] = {
    "sft": Definition(_cross_entropy),
    "ia2": Definition(_alignment),
    "ia2_sft": Definition(_cross_entropy, continues="ia2"),
    "sft_ia2": Definition(_alignment, continues="sft"),
    "ia2+sft": Definition(_joint),
    "soft_sft": Definition(_soft_labels),
}
ALIGNING = {"alignment", "joint"}
"""Names of the losses that align activations."""
