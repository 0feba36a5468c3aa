"""`ia2-eval leaderboard build`: directories of results -> tables and figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.figures.analyses import analysis_pictures
from ia2_eval.leaderboard.figures.draw import draw_figures
from ia2_eval.leaderboard.results.aggregate import aggregate, to_csv, to_parquet
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.remarks import data_notes, failures, notes_on
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.tables.html import to_html
from ia2_eval.leaderboard.tables.latex import to_latex
from ia2_eval.leaderboard.tables.layout import tables
from ia2_eval.leaderboard.tables.markdown import to_markdown

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
    beside_ours, comparable, compared = [], [], {}
    if published:
        from ia2_eval.leaderboard.published.beside import beside_published
        from ia2_eval.leaderboard.published.beside import to_csv as published_to_csv

        beside = beside_published(groups, rows, across_protocols)
        beside_ours, comparable = [*beside.tables], [*beside.notes]
        compared = {"published.csv": published_to_csv(beside.rows).encode()}
    # Samples are read as the first figures are drawn elsewhere; the tables find them read.
    figures, sample_faults = draw_figures(results, out / "plots", groups, rows)
    board = Leaderboard(
        rows=tuple(rows),
        tables=(*tables(groups, rows, results), *beside_ours),
        faults=(*results.faults, *sample_faults),
        failed=tuple(failures(results)),
        notes=(*results.notes, *notes, *notes_on(groups), *comparable),
        data=tuple(data_notes(groups)),
        missing_cells=sum(group.missing for group in groups),
        paths=(*(out / f"leaderboard.{suffix}" for suffix in FORMATS), *(out / name for name in compared), *figures),
    )
    shown = [*(path for path in figures if path.suffix == ".png"), *analysis_pictures(directories)]
    pictures = [Path(os.path.relpath(path, out)).as_posix() for path in shown]
    contents = {
        "leaderboard.csv": to_csv(rows).encode(),
        "leaderboard.parquet": to_parquet(rows),
        "leaderboard.md": to_markdown(TITLE, board.tables, board.remarks(), pictures).encode(),
        "leaderboard.tex": to_latex(board.tables, board.remarks()).encode(),
        "leaderboard.html": to_html(TITLE, board.tables, board.remarks(), pictures).encode(),
        **compared,
    }
    for name, content in contents.items():
        write_atomically(out / name, content)
    return board
