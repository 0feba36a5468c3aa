"""`ia2-eval status`, `retry` and `gc`: one thin function per command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Directory = Annotated[Path, typer.Argument(help="The --out of a run.")]


def status(
    directory: Directory,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Watch up to 15 s which processes of other machines are alive.")
    ] = False,
) -> None:
    """What is done, what is running, what failed and why, what is left, and how long that takes."""
    from ia2_eval.experiments.upkeep.status import status_command

    status_command(directory, Console(), watch=watch, as_json=as_json)


def retry(
    directory: Directory,
    cause: Annotated[
        str | None, typer.Option(help="Only cells whose cause has this text in it, as `status` shows it.")
    ] = None,
) -> None:
    """Have the next run try failed cells again."""
    from ia2_eval.experiments.upkeep.retry import retry_failed

    retry_failed(directory, cause, Console())


def gc(
    directory: Directory,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print every path.")] = False,
) -> None:
    """Show what is of no use any more in a run's directory; with --delete, delete it."""
    from ia2_eval.experiments.upkeep.gc import collect_garbage

    collect_garbage(directory, Console(), delete=delete, every_path=paths)
