"""`evaluation.csv`: every metric of every adapter and task, one to a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ia2_eval.adapters.results import OURS
from ia2_eval.adapters.stored import StoredAdapter
from ia2_eval.adapters.table import values
from ia2_eval.atomic import write_atomically
from ia2_eval.scoring.lm_eval_metrics import OF_PAIRS

EVALUATION_CSV = "evaluation.csv"
CELL = ("source", "method", "variant", "n", "seed", "learning_rate")
OF_ANSWERS = {*OF_PAIRS, "brier"}
"""Metrics that generated texts without an answer are left out of."""
COLUMNS = ("adapter", "key", "base", *CELL, "task", "metric", "value", "n_examples")


def write_evaluation_csv(
    directory: Path,
    base: str,
    adapters: Mapping[str, StoredAdapter | None],
    by_adapter: Mapping[str, Mapping[str, Any]],
) -> None:
    """
    Args:
        directory: to write to.
        base: its name.
        adapters: by name; None for the base alone.
        by_adapter: results by the same names.

    Raises:
        OSError: it cannot be written.
    """
    content = StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(COLUMNS)
    for name, results in by_adapter.items():
        adapter = adapters[name]
        cell = adapter.cell if adapter else None
        what = [getattr(cell, field) for field in CELL] if cell else [None] * len(CELL)
        for rest in _metrics(results):
            table.writerow([name, cell.key if cell else None, base, *what, *rest])
    write_atomically(directory / EVALUATION_CSV, content.getvalue().encode())


def _metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, str, float, int | None]]:
    for task, found in results["results"].items():
        n, with_answer = results["n-samples"].get(task, {}).get("effective"), results[OURS]["ece_n"].get(task)
        for name, value in values(found).items():
            yield task, name, value, with_answer if name in OF_ANSWERS and with_answer else n
