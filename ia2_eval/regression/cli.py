"""`ia2-eval regress` and `ia2-eval reference ...`: one thin function per command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ia2_eval.commands import BATCH_SIZE
from ia2_eval.errors import UserError
from ia2_eval.options import AdaptersPerPass, BatchSize, DataDir, Device, Limit, MicroBatchSize, OtherBase

reference_app = typer.Typer(help="Reference results that later code is compared with.", no_args_is_help=True)


@reference_app.command("create")
def create(
    recipe: Annotated[Path, typer.Argument(help="YAML file, or the name of a shipped recipe.")],
    out: Annotated[Path, typer.Option(help="Directory of the reference, which is called by its name.")],
    base: OtherBase = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: BatchSize = BATCH_SIZE,
    micro_batch_size: MicroBatchSize = None,
    adapters_per_pass: AdaptersPerPass = 15,
    stored_seeds: Annotated[
        int, typer.Option(min=0, help="Keep the adapters of so many seeds of each method, to be evaluated again.")
    ] = 1,
) -> None:
    """Run a recipe with committed code and keep its results as a reference. Run it again to go on."""
    from ia2_eval.experiments.session import Overrides
    from ia2_eval.experiments.settings import Settings
    from ia2_eval.regression.create import create_reference

    settings = Settings(
        data_dir=data_dir,
        device=device,
        batch_size=batch_size,
        micro_batch_size=micro_batch_size,
        adapters_per_pass=adapters_per_pass,
    )
    console = Console(stderr=True)
    raise typer.Exit(create_reference(recipe, out, Overrides(base, limit), settings, stored_seeds, console))


def regress(
    reference: Annotated[
        Path | None, typer.Argument(help="Directory, or the name of a shipped reference. Default: the shipped one.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="The --out of a run of its recipe.yaml: compare that, run nothing.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep what is run here: an empty directory. Default: nowhere.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Where the base model is now, if it was moved.")] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Loss of accuracy, or rise of ECE, that must be excluded to pass.")
    ] = 0.05,
    junit: Annotated[Path | None, typer.Option(help="Write the checks as JUnit XML, too.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
) -> None:
    """Run a reference's recipe again and compare example by example. Exit status 0: passed, 1: a regression, 2: it
    cannot be told."""
    from ia2_eval.experiments.settings import Settings
    from ia2_eval.regression.commands import regress_command

    if results is not None and any(option is not None for option in (out, base, data_dir, device)):
        raise UserError("--results runs nothing: leave out --out, --base, --data-dir and --device, or --results")
    settings = Settings(data_dir=data_dir, device=device)
    raise typer.Exit(regress_command(reference, results, out, base, settings, margin, junit, Console()))
