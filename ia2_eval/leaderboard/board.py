"""A leaderboard that has been built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.tables.table import Table


@dataclass(frozen=True)
class Leaderboard:
    """What a build made."""

    rows: tuple[Row, ...]
    tables: tuple[Table, ...]
    faults: tuple[str, ...]  # files that could not be used; the command exits non-zero where there is one
    failed: tuple[str, ...]  # failed cells, each with the last line of its error
    notes: tuple[str, ...]  # cells that have not been run, or were left out
    data: tuple[str, ...]  # how the data differ from the published ones
    missing_cells: int  # expected cells that have not finished well
    paths: tuple[Path, ...]  # files written

    @property
    def incomplete(self) -> bool:
        """Whether cells are missing; the command exits non-zero then, too."""
        return self.missing_cells > 0

    def remarks(self) -> list[tuple[str, tuple[str, ...]]]:
        """What the reader must know beside the tables, by heading; headings without lines are left out."""
        found = [
            ("Faulty files", self.faults),
            ("Failed cells", self.failed),
            ("Notes", self.notes),
            ("Data", self.data),
        ]
        return [(heading, lines) for heading, lines in found if lines]
