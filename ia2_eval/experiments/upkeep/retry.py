"""Asks for another try at failed cells."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.upkeep.state import read_state


def retry_failed(directory: Path, cause: str | None, console: Console) -> None:
    """Set the records of failed cells aside, so that the next run has these cells to do.

    Args:
        directory: of the run.
        cause: only of cells whose cause has this in it, in lower or upper case; None: of all.
        console: to say which.

    Raises:
        UserError: it is no run's directory, no cell failed, or none of that cause.
    """
    state, store = read_state(directory), Store(directory)
    failed = state.having("failed")
    if not failed:
        console.print(Text(f"{directory}: no cell has failed"), soft_wrap=True)
        return
    chosen = [each for each in failed if cause is None or cause.casefold() in each.said.casefold()]
    if not chosen:
        near = did_you_mean(cause or "", dict.fromkeys(each.said for each in failed))
        raise UserError(f"--cause {cause!r} is in the cause of no failed cell.{near}")
    counts: Counter[str] = Counter()
    for each in chosen:
        record = store.record(each.key)
        if record and record.status == "failed":
            with suppress(FileNotFoundError):  # another command was faster
                store.set_aside(record)
                counts[each.said] += 1
    for said, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        console.print(Text(f"{count:,} x {said}"), soft_wrap=True)
    console.print(
        Text(
            f"{counts.total():,} of {len(failed):,} failed cells are to be run again: "
            f"ia2-eval run RECIPE.yaml --out {directory}"
        ),
        soft_wrap=True,
    )
    if any(seen.life in ("alive", "not known") for seen in state.processes):
        console.print("what runs there now does not see that: give the command when it has ended", highlight=False)
