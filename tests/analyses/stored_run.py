"""A run directory with adapters of the embedded model that no training made, so that it takes no time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from ia2_training import LoraAdapter, attach, save_adapter
from peft import PeftModel

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Provenance, Record, Training, TrainingPhase
from ia2_eval.lm.base_model import Base, BaseModel, load, locate
from tests.experiments.small_runs import planned, small_recipe
from tests.leaderboard.synthetic_run import write_plan, write_run

LORA = LoraAdapter(r=8, alpha=8)


def embedded(dtype: str = "float32") -> BaseModel:
    return load(locate(Base(model="embedded", dtype=dtype)), "cpu")


def adapted(base: BaseModel, seed: int, size: float = 0.2) -> PeftModel:
    """The base, copied, with an adapter whose update is not zero."""
    model = attach(copy.deepcopy(base.model), LORA, seed=seed)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(size * torch.randn(parameter.shape, generator=draws))
    return model


def stored_run(directory: Path, base: BaseModel, cells: Sequence[Cell]) -> list[Record]:
    """Records and adapters of the trained cells; the accuracy of a cell says which seed and learning rate it has."""
    records = []
    for number, cell in enumerate(cells):
        accuracy = 0.1 * (cell.seed or 0) + 0.01 * number
        records.append(
            Record(
                key=cell.key,
                cell=cell,
                status="ok",
                provenance=Provenance(created="2026-01-01T00:00:00+00:00", versions={}, device="cpu", wall_seconds=1.0),
                training=_training(cell) if cell.trained else None,
                evaluations=tuple(
                    Evaluation(
                        eval=name,
                        ood=name != cell.source,
                        n=4,
                        metrics={"acc": accuracy, "acc_full_vocab": accuracy / 2, "ece": 0.3, "ece_mass": 0.4},
                        samples=f"samples/{cell.key}/{name}.jsonl",
                    )
                    for name in cell.evals
                ),
            )
        )
        if cell.trained:
            save_adapter(adapted(base, number), directory / "adapters" / cell.key)
    write_run(directory, records)
    write_plan(directory, records)
    return records


def cells(**changes: object) -> list[Cell]:
    """Cells of a small recipe on the embedded model."""
    recipe = small_recipe(**changes)
    return planned(recipe, locate(recipe.base).base)


def _training(cell: Cell) -> Training:
    phase = TrainingPhase(loss="ce", steps=2, kept_step=2, dev_loss=0.5, train_loss=0.5, stopped="budget")
    return Training(phases=(phase,), extra_labels=2, trainable_parameters=8, adapter=f"adapters/{cell.key}")
