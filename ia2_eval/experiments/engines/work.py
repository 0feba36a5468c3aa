"""What a worker does: it takes groups of cells that nobody works on, and runs them, until every cell is settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.engines.groups import Group
from ia2_eval.experiments.ledger import MOST_ATTEMPTS, Ledger, is_settled
from ia2_eval.experiments.lockstep import wait_for_followers
from ia2_eval.experiments.ownership.leases import Leases
from ia2_eval.experiments.provenance import provenance
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store

POLL_SECONDS = 1.0
"""Between two looks at what others do."""
MOST_DEATHS = 3
"""Workers that may die while they run a cell, before it counts as failed."""

RunPass = Callable[[Sequence[Cell], Mapping[str, int]], list[Record]]
"""Runs cells together, told of each, by key, which attempt at it this is; gives their records, which it has written."""


@dataclass(frozen=True)
class LeasedStore(Store):
    """A store that writes a record only while this process has the lease of its cell."""

    leases: Leases

    def write_record(self, record: Record) -> None:
        if self.leases.holds(record.key):
            super().write_record(record)

    def write_adapters(self, write: Mapping[str, Callable[[Path], None]]) -> None:
        super().write_adapters(write)
        wait_for_followers()  # they read them


@dataclass
class Worker:
    """One process at work on the cells of a sweep, beside others."""

    store: LeasedStore
    ledger: Ledger
    run_pass: RunPass
    settled: Callable[[Record], None]
    """Told of the records that were not made by `run_pass`: those of other processes, and of cells given up."""

    def work(self, groups: Sequence[Group]) -> None:
        """Take groups in their order and run them; those that living processes run are waited for."""
        left = list(groups)
        looked = -POLL_SECONDS
        while True:
            if time.monotonic() - looked >= POLL_SECONDS:
                looked = time.monotonic()
                for record in self.ledger.refresh():
                    self.settled(record)
            left = [group for group in left if self._due(group.keys)]
            if not left:
                return
            group = next((group for group in left if self.store.leases.acquire(self._due(group.keys))), None)
            if group:
                self._run_group(group)
                left.append(left.pop(left.index(group)))  # what failed and may pass is tried after all else
            else:
                time.sleep(POLL_SECONDS)

    def _due(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if key in self.ledger.unsettled]

    def _run_group(self, group: Group) -> None:
        self.store.place_adapters()  # of an owner that was killed
        for key in self._due(group.keys):
            # Between the last look and the lease, its owner may have settled a cell.
            if record := self.ledger.look(key):
                self._note(record)
                self.settled(record)
        for together in group.passes:
            # The first pass may have taken so long, on a machine that slept, that others have taken the next.
            due = [c for c in together if c.key in self.ledger.unsettled and self.store.leases.holds(c.key)]
            for cell in due:
                if self.store.leases.deaths(cell.key) >= MOST_DEATHS:
                    self._give_up(cell)
            due = [cell for cell in due if cell.key in self.ledger.unsettled]
            attempts = {cell.key: self.ledger.attempt(cell.key) for cell in due}
            for record in self.run_pass(due, attempts) if due else ():
                if self.store.leases.holds(record.key):
                    self._note(record)

    def _note(self, record: Record) -> None:
        """Take note of what is written, and let go of the cell."""
        self.ledger.settle([record])
        if is_settled(record):
            self.store.leases.forget(record.key)
        else:
            self.store.leases.release(record.key)

    def _give_up(self, cell: Cell) -> None:
        cause = f"{MOST_DEATHS} workers died while they ran it"
        record = Record(
            key=cell.key,
            cell=cell,
            status="failed",
            error=f"{cause}: killed, or out of the machine's memory. The system's log may say more.",
            cause=cause,
            transient=True,
            attempt=MOST_ATTEMPTS,
            provenance=provenance("none", 0.0),
        )
        self.store.write_record(record)
        self._note(record)
        self.settled(record)
