"""Adapters of the embedded model that change its answers, and their evaluation."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from ia2_training.adapters import Adapter
from ia2_training.attach import attach, detach, save_adapter
from rich.console import Console

from ia2_eval.adapters.evaluate import evaluate_adapters
from ia2_eval.adapters.settings import EvaluationSettings
from ia2_eval.adapters.stored import StoredAdapter
from ia2_eval.lm.base_model import Base, load, locate

MOOD, ARITHMETIC = "ia2_embedded_mood", "ia2_embedded_arithmetic"


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


def settings(out: Path, **changes: Any) -> EvaluationSettings:
    return EvaluationSettings(**({"base": "embedded", "tasks": (MOOD, ARITHMETIC), "out": out, "limit": 8} | changes))


def evaluate(settings: EvaluationSettings, adapters: list[StoredAdapter], with_base: bool = False) -> tuple[int, str]:
    """Exit status and what was printed."""
    said = StringIO()
    status = evaluate_adapters(settings, adapters, with_base, Console(file=said, width=120))
    return status, said.getvalue()


def results(directory: Path, newest: bool = False) -> dict[str, Any]:
    *earlier, path = sorted(directory.glob("results_*.json"))
    assert newest or not earlier
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def samples(directory: Path, task: str) -> list[dict[str, Any]]:
    (path,) = directory.glob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]
