"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(help="Local data: a folder per data set with JSON lines. Default: IA2_DATA_DIR, else the hub."),
]
Device = Annotated[
    str | None, typer.Option(help="cuda, mps, cpu, or auto: all GPUs together. Default: the best one present.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Requests per forward pass in evaluations.")]
MicroBatchSize = Annotated[int | None, typer.Option(min=1, help="Examples per forward pass in training.")]
AdaptersPerPass = Annotated[int, typer.Option(min=1, help="LoRA adapters trained together; 1: one by one.")]
OtherBase = Annotated[str | None, typer.Option(help="Another base model than the recipe's.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Evaluate on the first examples only.")]
