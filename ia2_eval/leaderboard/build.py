"""`ia2-eval leaderboard build`: a run's directory -> CSV, Markdown page and figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ia2_eval.atomic import write_atomically
from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.figures.draw import draw_figures
from ia2_eval.leaderboard.results.aggregate import aggregate, to_csv
from ia2_eval.leaderboard.results.groups import Group, group_records
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.style import column_title
from ia2_eval.leaderboard.tables.table import tables
from ia2_eval.leaderboard.tables.terminal import to_markdown
from ia2_eval.scoring.version import SCORING_VERSION


def build(directories: Path | Sequence[Path], out: Path | None = None) -> Leaderboard:
    """Builds `leaderboard.csv`, `leaderboard.md` and `plots/` from what runs, or lm-eval, left in their directories.

    Faulty files do not stop it: the board is built from the valid ones and `faults` names the others.

    Args:
        directories: what `ia2-eval run --out` wrote, or lm-eval's `--output_path`; one or several.
        out: where to write; by default the directory, if it is one.

    Raises:
        UserError: a directory holds neither a record nor a plan, or there are several and no `out`.
    """
    directories = [directories] if isinstance(directories, Path) else directories
    if out is None and len(directories) != 1:
        raise UserError(f"the board of {len(directories)} directories needs a place of its own: give --out DIRECTORY")
    out = out or directories[0]
    results = read_results(directories)
    groups, notes = group_records(results.records, results.plan)
    rows = aggregate(groups)
    figures, sample_faults = draw_figures(results, out / "plots", groups, rows)
    board = Leaderboard(
        rows=tuple(rows),
        tables=tuple(tables(groups, rows)),
        faults=(*results.faults, *sample_faults),
        failed=tuple(_failure(record) for record in results.records if record.status == "failed"),
        notes=(*results.notes, *notes, *_not_run(groups), *_undecided(groups), *_scored_before(groups)),
        data=tuple(dict.fromkeys(_data_notes(groups))),
        missing_cells=sum(group.missing for group in groups),
        paths=(out / "leaderboard.csv", out / "leaderboard.md", *figures),
    )
    write_atomically(out / "leaderboard.csv", to_csv(rows).encode())
    pictures = [path.relative_to(out).as_posix() for path in figures if path.suffix == ".png"]
    write_atomically(out / "leaderboard.md", to_markdown(board.tables, board.remarks(), pictures).encode())
    return board


def _failure(record: Record) -> str:
    lines = (record.error or "").strip().splitlines() or ["no error was recorded"]
    return f"{record.cell.label} (records/{record.key}.json): {lines[-1].strip()}"


def _not_run(groups: Sequence[Group]) -> Iterator[str]:
    """One line per place, not per cell: an interrupted run lacks hundreds."""
    counts: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        count = group.missing - group.failed
        if count:
            counts[group.place].append(f"{column_title(group.column)} {count} of {len(group.expected)}")
    for place, of_methods in counts.items():
        yield f"{place}: {', '.join(of_methods)} cells not run yet"


def _data_notes(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        for record in group.records:
            for evaluation in record.evaluations:
                for note in evaluation.notes:
                    yield f"{get_benchmark(evaluation.eval).title}: {note}"


def _scored_before(groups: Sequence[Group]) -> Iterator[str]:
    versions = [found.scoring_version for group in groups for record in group.records for found in record.evaluations]
    old = sum(version < SCORING_VERSION for version in versions)
    if old:
        yield (
            f"{old} of {len(versions)} evaluations were scored by an earlier version: "
            f"`ia2-eval rescore` on the run's directory brings them to version {SCORING_VERSION}"
        )


def _undecided(groups: Sequence[Group]) -> Iterator[str]:
    """Groups with finished cells but several learning rates that cannot be told apart, such as without a dev set."""
    for group in groups:
        selection = headline_selection(group.protocol, group.trained)
        absent = [name for name in group.evals if selection not in chosen_candidates(group, name)]
        if group.records and absent:
            score = "dev loss" if selection == "dev" else f"accuracy on {', '.join(absent)}"
            method = column_title(group.column)
            yield f"{group.place}: no learning rate can be chosen for {method}, its cells have no {score}"
