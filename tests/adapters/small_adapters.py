"""Adapters of the embedded model that change its answers."""

from __future__ import annotations

from pathlib import Path

import torch
from ia2_training.adapters import Adapter
from ia2_training.attach import attach, detach, save_adapter

from ia2_eval.lm.base_model import Base, load, locate


def store(adapter: Adapter, directory: Path, seed: int = 0, scale: float = 0.1) -> Path:
    """A stored adapter that has moved at random from where it starts; with scale 0 not at all."""
    base = load(locate(Base(model="embedded")), "cpu").model
    model = attach(base, adapter, seed=0)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.randn(parameter.shape, generator=draws))
    save_adapter(model, directory)
    detach(model)
    return directory
