"""`ia2-eval leaderboard ...`: one thin function per command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

leaderboard_app = typer.Typer(
    help="Tables, plots, comparisons and a page from the records of runs.", no_args_is_help=True
)

Directories = Annotated[
    list[Path], typer.Argument(help="The --out of runs, and directories of lm-eval's results; any number.")
]


@leaderboard_app.command("build")
def build(
    directories: Directories,
    out: Annotated[
        Path | None, typer.Option(help="Where to write. Default: the directory itself, if it is one.")
    ] = None,
) -> None:
    """Write tables (CSV, Markdown) and plots, and print the tables."""
    from ia2_eval.leaderboard.build import build as build_board
    from ia2_eval.leaderboard.tables.terminal import print_leaderboard

    board = build_board(directories, out)
    print_leaderboard(board, Console())
    raise typer.Exit(1 if board.faults or board.failed or board.incomplete else 0)
