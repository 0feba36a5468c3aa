"""Cells that are not run, and what runs them not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.provenance import provenance
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import Base


def fake_cell(method: str = "sft", seed: int = 0, n: int = 4, **fields: Any) -> Cell:
    """A cell of the embedded model; of an adapter by default."""
    if method not in ("no_icl", "icl"):
        trained = {"adapter": Lora(), "learning_rate": 1e-3, "epochs": 2, "batch_size": 8, "target_tokens": 1}
        fields = trained | fields
    drawn = {} if method == "no_icl" else {"n": n, "seed": seed}
    return Cell(
        **{
            "base": Base(model="embedded"),
            "source": "embedded_mood",
            "evals": ("embedded_mood",),
            "data": "d",
            "method": method,
            **drawn,
            **fields,
        }
    )


def record_of(cell: Cell, failed: bool = False, **fields: Any) -> Record:
    error = {"status": "failed", "error": "Traceback", "cause": "on purpose"} if failed else {"status": "ok"}
    return Record(**{"key": cell.key, "cell": cell, "provenance": provenance("cpu", 0.0), **error, **fields})


@dataclass
class FakePasses:
    """Writes a record for every cell, and remembers which cells were run together."""

    store: Store
    ran: list[list[str]] = field(default_factory=list)
    attempts: list[dict[str, int]] = field(default_factory=list)
    failing: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By key, fields of the record of a cell that fails."""

    def __call__(self, cells: Sequence[Cell], attempts: Mapping[str, int]) -> list[Record]:
        self.ran.append([cell.key for cell in cells])
        self.attempts.append(dict(attempts))
        records = [
            record_of(cell, cell.key in self.failing, attempt=attempts[cell.key], **self.failing.get(cell.key, {}))
            for cell in cells
        ]
        for record in records:
            self.store.write_record(record)
        return records
