"""`ia2-eval leaderboard build`: a run's directory -> CSV, Markdown page and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ia2_eval.atomic import write_atomically
from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.aggregate import Row, aggregate, to_csv
from ia2_eval.leaderboard.figures import draw_figures
from ia2_eval.leaderboard.groups import Group, group_records
from ia2_eval.leaderboard.learning_rate import chosen_learning_rates, headline_selection
from ia2_eval.leaderboard.read import read_records
from ia2_eval.leaderboard.render import to_markdown
from ia2_eval.leaderboard.table import Table, tables


@dataclass(frozen=True)
class Leaderboard:
    """What a build made."""

    rows: tuple[Row, ...]
    tables: tuple[Table, ...]
    faults: tuple[str, ...]  # files that could not be used; the command exits non-zero where there is one
    failed: tuple[str, ...]  # failed cells, each with the last line of its error
    notes: tuple[str, ...]  # cells that are absent or were left out
    paths: tuple[Path, ...]  # files written

    def remarks(self) -> list[tuple[str, tuple[str, ...]]]:
        """What the reader must know beside the tables, by heading; headings without lines are left out."""
        found = [("Faulty files", self.faults), ("Failed cells", self.failed), ("Notes", self.notes)]
        return [(heading, lines) for heading, lines in found if lines]


def build(run_directory: Path, out: Path | None = None) -> Leaderboard:
    """Builds `leaderboard.csv`, `leaderboard.md` and `plots/` from `run_directory/records` and `.../samples`.

    Faulty files do not stop it: the board is built from the valid ones and `faults` names the others.

    Args:
        run_directory: what `ia2-eval run --out` wrote.
        out: where to write; the run's directory by default.

    Raises:
        UserError: there is no record at all.
    """
    out = out or run_directory
    read = read_records(run_directory)
    groups, notes = group_records(read.records)
    rows = aggregate(groups)
    figures, sample_faults = draw_figures(run_directory, out / "plots", groups, rows)
    board = Leaderboard(
        rows=tuple(rows),
        tables=tuple(tables(groups, rows)),
        faults=(*read.faults, *sample_faults),
        failed=tuple(_failure(record) for record in read.records if record.status == "failed"),
        notes=(*notes, *_missing_cells(groups), *_undecided(groups)),
        paths=(out / "leaderboard.csv", out / "leaderboard.md", *figures),
    )
    write_atomically(out / "leaderboard.csv", to_csv(rows).encode())
    pictures = [path.relative_to(out).as_posix() for path in figures if path.suffix == ".png"]
    write_atomically(out / "leaderboard.md", to_markdown(board.tables, board.remarks(), pictures).encode())
    return board


def _failure(record: Record) -> str:
    lines = (record.error or "").strip().splitlines() or ["no error was recorded"]
    return f"{record.cell.label} (records/{record.key}.json): {lines[-1].strip()}"


def _missing_cells(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        for rate, seeds in group.missing():
            at = "" if rate is None else f" at learning rate {rate:g}"
            of_seeds = "" if seeds == [None] else f" for seed {', '.join(map(str, seeds))}"
            yield f"{group.label}{at}: no finished cell{of_seeds}"


def _undecided(groups: Sequence[Group]) -> Iterator[str]:
    """Groups with finished cells but several learning rates that cannot be told apart, such as without a dev set."""
    for group in groups:
        selection = headline_selection(group.protocol, group.trained)
        absent = [name for name in group.evals if selection not in chosen_learning_rates(group, name)]
        if group.records and absent:
            score = "dev loss" if selection == "dev" else f"accuracy on {', '.join(absent)}"
            yield f"{group.label}: no learning rate can be chosen, its cells have no {score}"
