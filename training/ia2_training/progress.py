"""Showing how training goes: a bar on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECONDS_BETWEEN_LINES = 10.0

logger = logging.getLogger("ia2_training")


@dataclass(frozen=True)
class Check:
    """The state of a phase at a dev check; at the end of an epoch when there is no dev set."""

    phase: str
    """Name of the loss that the phase minimises; of several adapters, how many are still trained too."""
    step: int
    """Optimiser steps taken."""
    budget: int
    """Optimiser steps that the phase takes at most."""
    train_loss: float | None
    """Loss of the last batch, before its step; None before the first. Of several adapters, the mean."""
    dev_loss: float | None
    """None without a dev set. Of several adapters, the mean."""

    def follows(self, earlier: Check | None) -> bool:
        """Whether this check is of the same phase as an earlier one of the same training: steps count from the start
        of a phase."""
        return earlier is not None and earlier.step < self.step

    def __str__(self) -> str:
        losses = [("loss", self.train_loss), ("dev loss", self.dev_loss)]
        shown = "".join(f"  {name} {value:.4g}" for name, value in losses if value is not None)
        return f"{self.phase}  step {self.step}/{self.budget}{shown}"


@contextmanager
def display() -> Iterator[Callable[[Check], None]]:
    """Show checks as a progress bar if the standard error is a terminal, as log lines otherwise."""
    with _bar() if sys.stderr.isatty() else _lines() as report:
        yield report


@contextmanager
def _bar() -> Iterator[Callable[[Check], None]]:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as progress:
        latest: Check | None = None
        task: TaskID

        def report(check: Check) -> None:
            nonlocal latest, task
            if not check.follows(latest):
                task = progress.add_task("", total=check.budget)
            progress.update(task, completed=check.step, description=str(check))
            latest = check

        yield report


@contextmanager
def _lines() -> Iterator[Callable[[Check], None]]:
    latest: Check | None = None
    last_line = time.monotonic()

    def report(check: Check) -> None:
        nonlocal latest, last_line
        if latest is not None and not check.follows(latest):
            logger.info("%s  done", latest)
            last_line = time.monotonic()
        elif time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            logger.info("%s", check)
            last_line = time.monotonic()
        latest = check

    yield report
    if latest is not None:
        logger.info("%s  done", latest)
