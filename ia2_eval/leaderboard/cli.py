"""`ia2-eval leaderboard ...`: one thin function per command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ia2_eval.errors import UserError

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
    published: Annotated[
        bool, typer.Option("--published", help="The papers' numbers beside ours, with the differences.")
    ] = False,
    across_protocols: Annotated[
        bool, typer.Option("--across-protocols", help="With --published: strict results too, although those are paper.")
    ] = False,
) -> None:
    """Write tables (CSV, Parquet, Markdown, LaTeX, HTML) and plots, and print the tables."""
    from ia2_eval.leaderboard.build import build as build_board
    from ia2_eval.leaderboard.tables.terminal import print_leaderboard

    if across_protocols and not published:
        raise UserError("--across-protocols says what to compare with the published numbers: give --published, too")
    board = build_board(directories, out, published, across_protocols)
    print_leaderboard(board, Console())
    raise typer.Exit(1 if board.faults or board.failed or board.incomplete else 0)


@leaderboard_app.command("compare")
def compare(
    directories: Directories,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Only comparisons that have this method (name or title). Repeatable. Default: all."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="What --method is compared with; the difference is --method minus this. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write. Default: `comparisons` in the directory, if it is one.")
    ] = None,
) -> None:
    """Paired tests of methods: over examples, seeds and benchmarks, Holm-corrected, with the seeds that are lacking."""
    from ia2_eval.leaderboard.significance.command import compare_command

    raise typer.Exit(compare_command(directories, method or (), against or (), out, Console()))


@leaderboard_app.command("page")
def page(
    directories: Directories,
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write. Default: page.html in the directory, if it is one.")
    ] = None,
) -> None:
    """Write one HTML file to sort, filter and look into, down to single records. It needs no network."""
    from ia2_eval.leaderboard.page.command import page_command

    raise typer.Exit(page_command(directories, out, Console()))


@leaderboard_app.command("mtbench")
def mtbench(
    directories: Annotated[list[Path], typer.Argument(help="The --out of mtbench commands; any number.")],
    published: Annotated[
        bool, typer.Option("--published", help="URIAL's published scores beside ours, with judge and decoding.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to write. Default: `board` in the directory, if it is one.")
    ] = None,
) -> None:
    """MT-Bench boards: models and decoding settings per turn and category, one board per judge."""
    from ia2_eval.mtbench.boards.command import board_command

    raise typer.Exit(board_command(directories, published, out, Console()))
