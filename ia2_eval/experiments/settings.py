"""How a run is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ia2_eval.commands import BATCH_SIZE


@dataclass(frozen=True)
class Settings:
    """Choices of whoever runs a recipe, none of which changes a result beyond rounding."""

    data_dir: Path | None = None
    """Local data; None for `IA2_DATA_DIR`, else the hub."""
    device: str | None = None
    """`cuda`, `mps`, `cpu`, or `auto` for a model spread over all GPUs; None for the best one present."""
    batch_size: int = BATCH_SIZE
    """Requests per forward pass in evaluations."""
    micro_batch_size: int | None = None
    """Examples per forward pass in training; None for the whole batch of an optimiser step."""
    activations_on_disk: bool = False
    """Read the teacher's activations from files at every use rather than keep them in memory."""
    targets_dir: Path | None = None
    """Where to keep what the teacher gave, for other runs too; None: in the run's directory until it is complete."""
    adapters_per_pass: int = 15
    """LoRA adapters that are trained together at most; 1 trains one after another."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass rather than keep them: less memory, more time."""
