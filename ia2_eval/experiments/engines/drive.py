"""What a driver does: it has an engine start workers, and watches the store until every cell is settled.

The workers find their work themselves, so a driver may die and be started again, and several may work side by side.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.engines.work import POLL_SECONDS
from ia2_eval.experiments.interruption import Interruption, remembered
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.ownership.workplace import Workplace, working_in
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.run import clear_targets
from ia2_eval.experiments.store import Store

MOST_LOST = 5
"""Workers that may be lost one after another without any cell being settled in between."""


class WorkerError(Exception):
    """A worker ended with an error that none of its cells made; the message has what it wrote."""


class News(NamedTuple):
    """What happened to the workers of an engine since the last look."""

    lines: list[str]
    """What they said, and how they ended."""
    lost: int
    """Workers that ended before their work was done."""
    idle: bool = False
    """Whether all workers have ended because they found no cell to run."""


class Workers(Protocol):
    """The workers of an engine."""

    def look_after(self) -> News:
        """Start workers in place of those that were lost, as far as there is room for them.

        Raises:
            UserError: a worker met with what the user has to mend.
            WorkerError: this program failed, and would again.
        """


class Engine(Protocol):
    """Where workers run."""

    def warm_up(self, workers: int) -> None:
        """Begin with what takes its time and needs no sweep; none may follow."""

    def start(self, sweep: Sweep) -> AbstractContextManager[Workers]:
        """Start the workers of a sweep; they end with the context.

        Raises:
            UserError: the machine, or the cluster, does not have what they need.
        """


def drive(sweep: Sweep, engine: Engine, progress: Progress) -> list[Record]:
    """Have the cells of a sweep run by workers; gives the records of all cells, those of failed ones included.

    Raises:
        UserError: the directory, the device or the resources cannot be used, or worker after worker is lost.
    """
    store = Store(sweep.out)
    keys = [cell.key for cell in sweep.cells]
    ledger = Ledger(store, keys, progress.damaged)
    ledger.refresh()
    if ledger.unsettled or store.work_path.exists():  # of a driver that was killed before it tidied up
        with working_in(store, "driver") as place, place.tidied(ledger):
            if ledger.unsettled:
                with remembered() as interruption:
                    while ledger.unsettled:  # once more if a record that workers had seen was taken away, or damaged
                        with engine.start(sweep) as workers:
                            _watch(ledger, workers, place, progress, interruption)
    clear_targets(store, sweep.settings, ledger)
    return [ledger.records[key] for key in keys]


def _watch(ledger: Ledger, workers: Workers, place: Workplace, progress: Progress, interruption: Interruption) -> None:
    lost, idle = 0, False
    while ledger.unsettled and not idle:
        time.sleep(POLL_SECONDS / 2)
        interruption.check()
        news = workers.look_after()
        idle = news.idle
        for line in news.lines:
            progress.said(line)
        settled = ledger.refresh()
        for record in settled:
            progress.cell_finished(record)
        progress.working([process for process in place.processes.living() if process.role == "worker"])
        lost = news.lost if settled else lost + news.lost
        if lost >= MOST_LOST:
            raise UserError(
                f"{lost} workers were lost one after another, and no cell was settled in between; what they last said "
                "is above. `dmesg` tells whether the machine was out of memory: take fewer --workers then"
            )
