"""`ia2-eval leaderboard build`: directories of results -> tables and figures."""

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
from ia2_eval.leaderboard.results.aggregate import aggregate, to_csv, to_parquet
from ia2_eval.leaderboard.results.groups import Group, group_records
from ia2_eval.leaderboard.results.learning_rate import chosen_candidates, headline_selection
from ia2_eval.leaderboard.results.lm_eval_files import NO_SAMPLES
from ia2_eval.leaderboard.results.results import Results, read_results
from ia2_eval.leaderboard.style import column_title
from ia2_eval.leaderboard.tables.html import to_html
from ia2_eval.leaderboard.tables.latex import to_latex
from ia2_eval.leaderboard.tables.layout import tables
from ia2_eval.leaderboard.tables.markdown import to_markdown
from ia2_eval.scoring.version import SCORING_VERSION

TITLE = "Leaderboard"
FORMATS = ("csv", "parquet", "md", "tex", "html")


def build(
    directories: Path | Sequence[Path],
    out: Path | None = None,
    published: bool = False,
    across_protocols: bool = False,
) -> Leaderboard:
    """Builds tables (`leaderboard.csv`, `.parquet`, `.md`, `.tex`, `.html`) and `plots/` from what runs, or lm-eval,
    left in their directories.

    Faulty files do not stop it: the board is built from the valid ones and `faults` names the others.

    Args:
        directories: what `ia2-eval run --out` wrote, or lm-eval's `--output_path`; one or several.
        out: where to write; by default the directory, if it is one.
        published: whether the papers' numbers stand beside ours, in tables of their own and `published.csv`.
        across_protocols: whether strict results stand beside them, too, although those are `paper`.

    Raises:
        UserError: a directory holds neither a record nor a plan, there are several and no `out`, or there is nothing
            published to compare with.
    """
    directories = [directories] if isinstance(directories, Path) else directories
    if out is None and len(directories) != 1:
        raise UserError(f"the board of {len(directories)} directories needs a place of its own: give --out DIRECTORY")
    out = out or directories[0]
    results = read_results(directories)
    groups, notes = group_records(results.records, results.plan, results.name)
    rows = aggregate(groups)
    shown, comparable, compared = tables(groups, rows, results), [], {}
    if published:
        from ia2_eval.leaderboard.published.beside import beside_published
        from ia2_eval.leaderboard.published.beside import to_csv as published_to_csv

        beside = beside_published(groups, rows, across_protocols)
        shown, comparable = [*shown, *beside.tables], [*beside.notes]
        compared = {"published.csv": published_to_csv(beside.rows).encode()}
    figures, sample_faults = draw_figures(results, out / "plots", groups, rows)
    without_samples = [fault for fault in sample_faults if fault.endswith(NO_SAMPLES)]
    board = Leaderboard(
        rows=tuple(rows),
        tables=tuple(shown),
        faults=(*results.faults, *(fault for fault in sample_faults if fault not in without_samples)),
        failed=tuple(_failure(results, record) for record in results.records if record.status == "failed"),
        notes=(
            *(*results.notes, *notes, *_not_run(groups), *_undecided(groups), *_scored_before(groups)),
            *(*without_samples, *comparable),
        ),
        data=tuple(dict.fromkeys(_data_notes(groups))),
        missing_cells=sum(group.missing for group in groups),
        paths=(*(out / f"leaderboard.{suffix}" for suffix in FORMATS), *(out / name for name in compared), *figures),
    )
    pictures = [path.relative_to(out).as_posix() for path in figures if path.suffix == ".png"]
    contents = {
        "leaderboard.csv": to_csv(rows).encode(),
        "leaderboard.parquet": to_parquet(rows),
        "leaderboard.md": to_markdown(TITLE, board.tables, board.remarks(), pictures).encode(),
        "leaderboard.tex": to_latex(board.tables, board.remarks()).encode(),
        "leaderboard.html": to_html(TITLE, board.tables, board.remarks()).encode(),
        **compared,
    }
    for name, content in contents.items():
        write_atomically(out / name, content)
    return board


def _failure(results: Results, record: Record) -> str:
    lines = (record.error or "").strip().splitlines() or ["no error was recorded"]
    return f"{record.cell.label} ({results.name(record.key)}): {lines[-1].strip()}"


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
