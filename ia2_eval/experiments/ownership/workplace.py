"""A run's directory as a process works in it: known by its heartbeat, with leases, and tidied up at the end."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ia2_eval.errors import UserError
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.ownership.leases import Leases
from ia2_eval.experiments.ownership.processes import Presence, Process, Processes, Role, ended_here, process_id
from ia2_eval.experiments.store import Store

ALONE: dict[Role, str] = {"rescore": "being rescored", "gc": "being cleared"}
"""Roles of processes that bear no others beside them, and what they do."""


@dataclass(frozen=True)
class Workplace:
    """What a process has while it works in a run's directory."""

    store: Store
    presence: Presence
    processes: Processes
    leases: Leases

    @contextmanager
    def tidied(self, ledger: Ledger) -> Iterator[None]:
        """After the context remove what ended processes left behind, and the leases of cells that are done."""
        try:
            yield
        finally:
            with suppress(OSError):  # whatever went wrong before is what is to be told
                self._tidy({key for key, record in ledger.records.items() if record.status == "ok"})

    def _tidy(self, done: Collection[str]) -> None:
        gone = self.processes.gone()  # before adapters are placed: what was written whole is not cleared
        known = {path.stem for path in self.store.processes_path.glob("*.json")}
        folders = {path.name for path in (self.store.work_path / "partial").glob("*")}
        gone += [name for name in folders - known if ended_here(name)]
        self.store.place_adapters()
        for name in gone:
            self.store.clear_partial(name)
            self.processes.path(name).unlink(missing_ok=True)
        for lease in self.store.leases_path.glob("*"):
            if lease.stem in done:
                lease.unlink(missing_ok=True)


@contextmanager
def working_in(store: Store, role: Role) -> Iterator[Workplace]:
    """Work in a run's directory within the context.

    Raises:
        UserError: it cannot be written to, or somebody works in it who must be alone, or this process must be.
    """
    processes = Processes(store.processes_path)
    _refuse([process for process in processes.living() if {role, process.role} & ALONE.keys()], store)
    presence = Presence(processes, role, store.partial_path(process_id()))
    try:
        with presence.beating():
            store.place_adapters()
            yield Workplace(store, presence, processes, Leases(store.leases_path, processes))
    finally:
        with suppress(OSError):  # it was interrupted there, and what was written whole is not cleared
            store.place_adapters()
        for folder in (store.leases_path, store.processes_path):
            with suppress(OSError):  # another process has something there
                folder.rmdir()
        store.clear_partial(presence.id)


def _refuse(others: list[Process], store: Store) -> None:
    if others:
        what = ALONE.get(others[0].role, "running")
        where = f"{others[0].host}, process {others[0].pid}"
        raise UserError(
            f"{str(store.directory)!r} is {what} ({where}): try again when that has ended. "
            f"Where it was killed on another machine, `ia2-eval gc {store.directory} --delete` finds out"
        )
