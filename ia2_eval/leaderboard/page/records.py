"""Records and their evaluations as rows of the page."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Record, Training
from ia2_eval.leaderboard.page.diagram import diagram
from ia2_eval.leaderboard.page.shared import Json, rounded, scaled
from ia2_eval.leaderboard.page.tables import Tables
from ia2_eval.leaderboard.results.groups import Group, label_type
from ia2_eval.leaderboard.results.reliability import reliability
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.style import Column

ERROR_LENGTH = 400
"""Characters of the last line of an error that are shown; the record has the rest."""


class Records:
    """Rows: `records`, and `evaluations`, one per record and benchmark; `faults`: files that cannot be used."""

    def __init__(self, results: Results, directory: Path, tables: Tables) -> None:
        """
        Args:
            results: what the records are of.
            directory: of the page, which its links start from.
            tables: where common values go.
        """
        self._results, self._directory, self._tables = results, directory, tables
        self.records: list[Json] = []
        self.evaluations: list[Json] = []
        self.faults: list[str] = []
        self.places: dict[tuple[str, str], int] = {}  # of evaluations, by key of the record and name of the benchmark

    def add(self, record: Record, group: Group) -> None:
        """A finished one."""
        place = self._add_record(record, group.base, None)
        for evaluation in record.evaluations:
            self.places[record.key, evaluation.eval] = len(self.evaluations)
            self.evaluations.append(self._evaluation(place, record, evaluation, group))

    def add_failed(self, record: Record, base: str) -> None:
        """One without results. It has a row per benchmark, too: each of them lacks its result."""
        error = ((record.error or "").strip().splitlines() or ["no error was recorded"])[-1].strip()
        place = self._add_record(record, base, error[:ERROR_LENGTH])
        for benchmark in record.cell.evals:
            self.evaluations.append([place, self._tables.benchmark(benchmark)])

    def _add_record(self, record: Record, base: str, error: str | None) -> int:
        tables, cell, provenance = self._tables, record.cell, record.provenance
        adapter = cell.adapter.label if cell.adapter else ""
        column = Column(cell.method, cell.variant)
        path = self._results.record_path(record)
        fields = cell.model_dump(mode="json")
        versions: dict[str, Json] = {**dict(sorted(provenance.versions.items()))}
        made: Json = {
            "git_commit": provenance.git_commit,
            "git_dirty": provenance.git_dirty,
            "device": provenance.device,
            "versions": versions,
        }
        self.records.append(
            [
                record.key,
                tables.group(base, adapter, cell.protocol, cell.source, cell.n, column, label_type(cell)),
                [tables.values.place(fields[name]) for name in Cell.model_fields],
                tables.values.place(_link(path.parent, self._directory)),
                None if path.name == f"{record.key}.json" else quote(path.name),
                provenance.created,
                tables.values.place(made),
                rounded(provenance.wall_seconds, 4),
                provenance.peak_memory_bytes and round(provenance.peak_memory_bytes / 2**20),
                self._training(record.training),
                error,
            ]
        )
        return len(self.records) - 1

    def _training(self, training: Training | None) -> Json:
        if training is None:
            return None
        phases: list[Json] = [
            [
                self._tables.values.place(phase.loss),
                phase.steps,
                phase.kept_step,
                rounded(phase.dev_loss, 4),
                rounded(phase.train_loss, 4),
                self._tables.values.place(phase.stopped),
            ]
            for phase in training.phases
        ]
        return [phases, training.extra_labels, training.trainable_parameters]

    def _evaluation(self, place: int, record: Record, evaluation: Evaluation, group: Group) -> Json:
        tables = self._tables
        names, with_interval = sorted(evaluation.metrics), sorted(evaluation.intervals)
        return [
            place,
            tables.benchmark(evaluation.eval),
            tables.headline(group, evaluation.eval),
            evaluation.n,
            tables.forms.place([[*names], [*with_interval]]),
            [scaled(evaluation.metrics[name]) for name in names],
            [scaled(end) for name in with_interval for end in evaluation.intervals[name]],
            self._diagram(record, evaluation, group),
            tables.values.place([evaluation.scoring_version, *evaluation.notes]),
        ]

    def _diagram(self, record: Record, evaluation: Evaluation, group: Group) -> int | None:
        reported = group.headline(evaluation.eval)
        if not evaluation.samples:
            return None
        try:
            found = self._results.outcomes(record, evaluation, reported)
        except UserError as error:
            self.faults.append(str(error))
            return None
        return self._tables.diagram(diagram(reliability(found.confidence, found.hits, reported.bins), reported.bins))


def _link(path: Path, start: Path) -> str:
    """From one directory to another, as a page's link."""
    return quote(Path(os.path.relpath(path, start)).as_posix()) + "/"
