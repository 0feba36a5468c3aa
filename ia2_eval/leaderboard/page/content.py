"""All that the page shows, by the names that its script reads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.page.best import best_entries
from ia2_eval.leaderboard.page.diagram import STEPS
from ia2_eval.leaderboard.page.means import means
from ia2_eval.leaderboard.page.records import Records
from ia2_eval.leaderboard.page.shared import SCALE, Json
from ia2_eval.leaderboard.page.tables import Tables
from ia2_eval.leaderboard.page.words import table_words
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import Candidate, Group, base_labels, group_records
from ia2_eval.leaderboard.results.remarks import data_notes, failures, notes_on
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.style import Column
from ia2_eval.lm.base_model import Base
from ia2_eval.scoring.calibration import BINS


class Content(NamedTuple):
    data: dict[str, Json]
    faults: tuple[str, ...]  # files that cannot be used
    incomplete: bool  # whether cells have failed or are missing


def page_content(results: Results, directory: Path) -> Content:
    """
    Args:
        results: what is shown.
        directory: of the page, which its links start from.
    """
    groups, notes = group_records(results.records, results.plan, results.name)
    rows = aggregate(groups)
    failed = [record for record in results.records if record.status == "failed"]
    columns = [Column(record.cell.method, record.cell.variant) for record in failed]
    tables = Tables([*(group.column for group in groups), *columns])
    records = Records(results, directory, tables)
    for group in groups:
        for record in sorted(group.records, key=_order):
            records.add(record, group)
    for record in sorted(failed, key=_order):
        records.add_failed(record, _base(record.cell, groups))
    best = best_entries(results, groups)
    of_seeds = means(results, groups, rows, best, records, tables)
    faults = tuple(dict.fromkeys((*results.faults, *records.faults)))
    remarks = [
        ("Faulty files", faults),
        ("Failed cells", (*failures(results),)),
        ("Notes", (*results.notes, *notes, *notes_on(groups))),
        ("Data", (*data_notes(groups),)),
    ]
    return Content(
        {
            "scale": SCALE,
            "steps": STEPS,
            "bins": BINS,
            "fields": [*Cell.model_fields],
            **tables.content,
            "records": records.records,
            "evaluations": records.evaluations,
            "means": of_seeds,
            "captions": [*table_words(groups, rows, bold=bool(best))],
            "remarks": [[heading, [*lines]] for heading, lines in remarks if lines],
        },
        faults,
        bool(failed) or any(group.missing for group in groups),
    )


def _order(record: Record) -> tuple[object, ...]:
    return Candidate.of(record.cell).order, record.cell.seed or 0, record.key


def _base(cell: Cell, groups: Sequence[Group]) -> str:
    """The name of a failed cell's base, as the groups have it; a group keeps finished records only."""
    for group in groups:
        if any(_identity(record.cell.base) == _identity(cell.base) for record in group.records[:1]):
            return group.base
    name = base_labels([cell.base])[cell.base]
    same = [group.base for group in groups if group.base.startswith(name) and not group.records]
    return same[0] if same else name


def _identity(base: Base) -> Hashable:
    return (base.dtype, base.fingerprint) if base.fingerprint else base
