"""Which of the cells of a board count: of one setting each, and no evaluation twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.method_options import MethodVariant
from ia2_eval.experiments.record import Record
from ia2_eval.lm.base_model import Base

GROUP_FIELDS = ("base", "adapter", "protocol", "source", "n", "method", "variant")
EVALUATION_SETTING = ("version", "limit", "data", "evals")
TRAINING_SETTING = tuple(  # the options of a method are in its variant
    name
    for name in Cell.model_fields
    if name not in (*GROUP_FIELDS, *MethodVariant.model_fields, *EVALUATION_SETTING, "seed", "learning_rate")
)

ONLY_OF_RUNS = ("data", "evals", "temperature_scaling", "agreement")
"""What is not in lm-eval's results, whose cells have the data ""."""


def one_base_per_fingerprint(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """The same files under another path are the same base, as in the key of a cell."""
    bases: dict[Hashable, Base] = {}

    def same(base: Base) -> Base:
        return bases.setdefault((base.dtype, base.fingerprint) if base.fingerprint else base, base)

    return {key: cell.model_copy(update={"base": same(cell.base)}) for key, cell in cells.items()}


def values_of(cell: Cell, names: tuple[str, ...]) -> tuple[Hashable, ...]:
    return tuple(getattr(cell, name) for name in names)


def latest_setting(
    cells: Mapping[str, Cell], recorded: Mapping[str, str], scope: tuple[str, ...], setting: tuple[str, ...]
) -> tuple[dict[str, Cell], list[str]]:
    """Keeps, within each scope, the cells whose setting is that of the last one; notes on the records of the others.

    Of lm-eval's results it is not known whether they differ in `ONLY_OF_RUNS`: they stand beside those of a run.
    """
    latest: dict[tuple[Hashable, ...], Cell] = {}
    for cell in cells.values():
        if cell.data or not latest.get(values_of(cell, scope), cell).data:
            latest[values_of(cell, scope)] = cell
    kept, left_out = {}, defaultdict(list)
    for key, cell in cells.items():
        wanted = latest[values_of(cell, scope)]
        differing = [name for name in setting if getattr(cell, name) != getattr(wanted, name)]
        if not (cell.data and wanted.data):
            differing = [name for name in differing if name not in ONLY_OF_RUNS]
        if not differing:
            kept[key] = cell
        elif key in recorded:
            changes = ", ".join(
                f"{name} {getattr(cell, name)} instead of {getattr(wanted, name)}" for name in differing
            )
            left_out[f"{cell.source} ({cell.protocol}): {changes}"].append(recorded[key])
    return kept, [
        f"{reason}: {len(names)} records of that other setting are left out (first: {names[0]})"
        for reason, names in left_out.items()
    ]


def without_repetitions(records: Sequence[Record], recorded: Mapping[str, str]) -> tuple[tuple[Record, ...], list[str]]:
    """The records of a group, each evaluation of a cell once: the run's, else the newest of lm-eval's; and the files of
    those of which something was left out. lm-eval's results of one cell may be in several places, a benchmark each."""
    if all(record.cell.data for record in records):
        return tuple(records), []
    seen: dict[tuple[Hashable, ...], set[str]] = defaultdict(set)
    kept, left_out = {}, []
    newest = sorted(records, key=lambda record: record.provenance.created, reverse=True)
    for record in sorted(newest, key=lambda record: not record.cell.data):
        names = seen[record.cell.learning_rate, record.cell.sft_weight, record.cell.seed]
        further = tuple(found for found in record.evaluations if found.eval not in names)
        if len(further) < len(record.evaluations):
            left_out.append(recorded[record.key])
        if further:
            kept[record.key] = record.model_copy(update={"evaluations": further})
        names.update(found.eval for found in further)
    return tuple(kept[record.key] for record in records if record.key in kept), left_out
