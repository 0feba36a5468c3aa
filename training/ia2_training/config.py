"""How an adapter is trained, and the two protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .response import AnswerEnd

Keep = Literal["best", "last"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of training. The defaults are the `strict` protocol.

    Adam with PyTorch's defaults, constant learning rate, no weight decay, no clipping. Everything random (initial
    adapter, order of examples) comes from `seed` under both protocols, so that a run on a CPU repeats bit for
    bit; the code published with arXiv 2509.22621 seeded nothing in training, so there is no draw to follow.
    """

    learning_rate: float = 3e-4
    """Of every phase. The paper's grid for LoRA: 1e-4, 3e-4, 1e-3."""
    max_new_tokens: int = 1
    """Most response tokens of the teacher. Above 1, ground-truth answers end with the end-of-sequence token."""
    epochs: int = 50
    """Budget of every phase."""
    batch_size: int = 4
    """Examples of one optimiser step; all of them when there are fewer."""
    micro_batch_size: int | None = None
    """Examples of one forward pass, for memory; None: the whole batch. Gradients are accumulated."""
    eval_every: int = 2
    """Optimiser steps between dev checks; the end of every epoch is a check too."""
    patience: int = 50
    """Consecutive dev checks without improvement after which a phase stops."""
    keep: Keep = "best"
    """Weights a phase ends with: those of the best dev check, or the last."""
    step_zero: bool = True
    """Check the dev set before the first step too, so that a phase can be found not to help at all."""
    float32_losses: bool = True
    """Compare activations in float32; otherwise in the dtype of the base model."""
    answer_end: AnswerEnd | None = None
    """Where the teacher's response is cut (see `collect_targets`); None leaves it whole."""
    answer_end_name: str | None = None
    """Names `answer_end` in the keys of a `TargetCache`."""
    target_batch_size: int = 8
    """Queries that the teacher answers together."""
    demonstration_orders: int = 1
    """Orders in which the teacher is shown the demonstrations of each training example: their own, and further ones
    drawn from the seed. Epoch e trains towards order e modulo this number."""
    gradient_checkpointing: bool = False
    """Keep only the inputs of the layers for the backward pass: less memory, about a third more time."""
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one = (
            "max_new_tokens",
            "epochs",
            "batch_size",
            "eval_every",
            "patience",
            "target_batch_size",
            "demonstration_orders",
        )
        faults = [
            f"{name} = {getattr(self, name)}: must be at least 1" for name in at_least_one if getattr(self, name) < 1
        ]
        if self.micro_batch_size is not None and self.micro_batch_size < 1:
            faults.append(f"micro_batch_size = {self.micro_batch_size}: must be at least 1, or None")
        if not 0 < self.learning_rate < float("inf"):
            faults.append(f"learning_rate = {self.learning_rate}: must be positive and finite")
        if self.keep not in ("best", "last"):
            faults.append(f"keep = {self.keep!r}: must be 'best' or 'last'")
        if self.seed < 0:
            faults.append(f"seed = {self.seed}: must not be negative")
        if faults:
            raise ValueError("TrainingConfig: " + "; ".join(faults))

    @classmethod
    def strict(cls, learning_rate: float = 3e-4, max_new_tokens: int = 1, **settings: Any) -> TrainingConfig:
        """What a careful reader would want: best dev weights, with the start among the candidates, and no early end.

        Multi-token tasks pass `answer_end` too.
        """
        return cls(learning_rate, max_new_tokens, **settings)

    @classmethod
    def paper(cls, learning_rate: float = 3e-4, max_new_tokens: int = 1, **settings: Any) -> TrainingConfig:
        """As published with arXiv 2509.22621: patience 5, and the last weights.

        The published code means to restore the best weights, but its restore has no effect.
        """
        published: dict[str, Any] = {"patience": 5, "keep": "last", "step_zero": False, "float32_losses": False}
        return cls(learning_rate, max_new_tokens, **published | settings)
