"""How a run is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Choices of whoever runs a recipe, none of which changes a result beyond rounding."""

    data_dir: Path | None = None
    """Local data; None for `IA2_DATA_DIR`, else the hub."""
    device: str | None = None
    """`cuda`, `mps` or `cpu`; None for the best one present."""
    batch_size: int = 32
    """Requests per forward pass in evaluations."""
    micro_batch_size: int | None = None
    """Examples per forward pass in training; None for the whole batch of an optimiser step."""
    activations_on_disk: bool = False
    """Keep the teacher's activations in files rather than in memory."""
