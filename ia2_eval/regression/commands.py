"""`ia2-eval regress`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ia2_eval.atomic import write_atomically
from ia2_eval.commands import INTERRUPTED
from ia2_eval.errors import UserError
from ia2_eval.experiments.settings import Settings
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.regression.check import EXIT_STATUS, Check, Verdict, worst
from ia2_eval.regression.gate import Gate, Reruns, checks
from ia2_eval.regression.junit import to_junit
from ia2_eval.regression.machine import this_machine
from ia2_eval.regression.reference import Reference, load_reference
from ia2_eval.regression.rerun import rerun
from ia2_eval.regression.results import results_checks

STYLES: dict[Verdict, str] = {"pass": "green", "regression": "bold red", "cannot tell": "yellow"}


def regress_command(
    given: Path | None,
    results: Path | None,
    out: Path | None,
    base: str | None,
    settings: Settings,
    margin: float,
    junit: Path | None,
    console: Console,
) -> int:
    """Prints one line per check; gives the exit status: 0 passed, 1 a regression, 2 it cannot be told, 130 interrupted.

    Args:
        given: the reference, a directory or the name of a shipped one; None for the only shipped one.
        results: the --out of a run of the reference's recipe, to compare instead of running it here.
        out: where to keep what is run; None: nowhere.
        base: where the base model is now, if it was moved.
        settings: device and data; the rest is the reference's.
        margin: harm, in accuracy or ECE, that must be excluded.
        junit: file for JUnit XML.
        console: to print on.

    Raises:
        UserError: the reference, `results`, or what it takes to run cannot be used, or `out` has results already.
    """
    reference = load_reference(given)
    _require_places(out, junit)
    started = time.monotonic()
    try:
        if results is None:
            found, differences = _run_and_compare(reference, out, base, settings, margin, console)
        else:
            run = read_run(results)
            found = [*results_checks(run), *checks(reference, Reruns(None, run), Gate(exact=False, margin=margin))]
            differences = ["the results were not made here"]
    except KeyboardInterrupt:
        console.print("interrupted: nothing was compared", highlight=False)
        return INTERRUPTED
    seconds = time.monotonic() - started
    _print(reference, found, differences, seconds, console)
    if junit is not None:
        write_atomically(junit, to_junit(reference.manifest.name, found, seconds))
    return EXIT_STATUS[worst(check.verdict for check in found)]


def _require_places(out: Path | None, junit: Path | None) -> None:
    """
    Raises:
        UserError: nothing can be written there, which is better known before the run than after it.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; give a directory")
    if out is not None and out.exists() and any(out.iterdir()):
        raise UserError(f"--out {out} is not empty: results of other code must not count, so give a new directory")
    if junit is not None and junit.is_dir():
        raise UserError(f"--junit {str(junit)!r} is a directory; give a file")


def _run_and_compare(
    reference: Reference, out: Path | None, base: str | None, settings: Settings, margin: float, console: Console
) -> tuple[list[Check], list[str]]:
    """The checks, and what may round differently here than where the reference was made."""
    settings = replace(settings, **reference.manifest.settings.model_dump())
    with tempfile.TemporaryDirectory(prefix="ia2-regress-") if out is None else nullcontext(out) as directory:
        reruns = rerun(reference, Path(directory), base, settings, console)
        assert reruns.retrained is not None
        here = this_machine(reruns.retrained.records[0].provenance.device)
        differences = reference.manifest.machine.differences(here)
        return checks(reference, reruns, Gate(exact=not differences, margin=margin)), differences


def _print(
    reference: Reference, found: Sequence[Check], differences: Sequence[str], seconds: float, console: Console
) -> None:
    manifest = reference.manifest
    commit = f", commit {manifest.git_commit[:12]}" if manifest.git_commit else ""
    console.print(Text(f"reference {manifest.name} of {manifest.created[:10]}{commit}", style="bold"))
    how = "bit by bit: versions and machine are the reference's"
    if differences:
        how = f"by intervals, since rounding may differ: {'; '.join(differences)}"
    console.print(Text(f"compared {how}", style="dim"), soft_wrap=True)
    for check in found:
        line = Text(f"{check.verdict.upper():11} ", style=STYLES[check.verdict])
        line.append(f"{check.kind} · {check.name}: {check.reason}", style="default")
        console.print(line, soft_wrap=True)
    counts = ", ".join(
        f"{sum(check.verdict == verdict for check in found)} {verdict}"
        for verdict in ("pass", "regression", "cannot tell")
    )
    console.print(Text(f"{worst(check.verdict for check in found)}: {counts}; {seconds:.0f} s"), soft_wrap=True)
