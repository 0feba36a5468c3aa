"""Shows a run of the judge on a terminal; elsewhere there is a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ia2_eval.mtbench.judging.cost import cost
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.tally import Tally


@contextmanager
def watch(total: int, settings: JudgeSettings, tally: Tally, console: Console) -> Iterator[None]:
    """A line with what is done, and with calls, failures, tokens, cost and the latest trouble; a summary at the end."""
    with Progress(
        TextColumn(settings.model, markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[spent]}", style="dim", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=total, spent="")

        def changed() -> None:
            trouble = f"; {tally.trouble}" if tally.trouble else ""
            bar.update(task, completed=tally.judged, spent=spent(tally, settings) + trouble)

        tally.changed, tally.shown = changed, console.is_terminal
        try:
            yield
        finally:
            console.print(
                Text(f"{tally.judged:,} of {total:,} judged: {spent(tally, settings)}", style="dim"), soft_wrap=True
            )


def spent(tally: Tally, settings: JudgeSettings) -> str:
    """Such as `162 calls, 1 failed, 98,000 + 21,000 tokens, 4.20`."""
    parts = [f"{tally.requests:,} calls", f"{tally.failed:,} failed"]
    if tally.from_cache:
        parts.append(f"{tally.from_cache:,} known already")
    if tally.tokens_in or tally.tokens_out:
        parts.append(f"{tally.tokens_in:,} + {tally.tokens_out:,} tokens")
    paid = cost(settings, tally.tokens_in, tally.tokens_out)
    if paid is not None:
        parts.append(f"cost {paid:,.2f}")
    return ", ".join(parts)
