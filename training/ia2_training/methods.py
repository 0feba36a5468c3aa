"""Methods by name. A method is a sequence of phases, each minimising one loss; a new method is one entry."""

from __future__ import annotations

from .losses import AlignmentLoss, CrossEntropyLoss, Loss

METHODS: dict[str, tuple[Loss, ...]] = {
    "sft": (CrossEntropyLoss(),),
    "ia2": (AlignmentLoss(),),
    "ia2_sft": (AlignmentLoss(), CrossEntropyLoss()),
}
