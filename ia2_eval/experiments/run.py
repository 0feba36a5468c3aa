"""Runs the cells of a sweep in this process, beside any other that works in the same directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.engines.groups import groups
from ia2_eval.experiments.engines.work import LeasedStore, Worker
from ia2_eval.experiments.faults import no_cells_faults
from ia2_eval.experiments.interruption import remembered
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.lockstep import tell
from ia2_eval.experiments.ownership.processes import Presence, Processes
from ia2_eval.experiments.ownership.workplace import Workplace, working_in
from ia2_eval.experiments.progress import Progress, pass_label
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.run_pass import PassRunner
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import BaseFiles, load, use_threads_for

if TYPE_CHECKING:
    from ia2_training import Check


def run(cells: Sequence[Cell], files: BaseFiles, store: Store, settings: Settings, progress: Progress) -> list[Record]:
    """Run the cells that are not settled yet; gives the records of all cells, those of failed ones included.

    Adapters are stored as soon as they are trained, and a record is written as soon as its cell has been evaluated: an
    interrupted run loses the adapters that were being trained, or the running evaluation, and nothing else. A cell
    that fails is recorded with its traceback and does not stop the others.

    Raises:
        UserError: the directory or the device cannot be used, or a record is of a later version.
    """
    ledger = Ledger(store, [cell.key for cell in cells], progress.damaged)
    ledger.refresh()
    if ledger.unsettled or store.work_path.exists():  # of a run that was killed before it tidied up
        with working_in(store, "worker") as place, place.tidied(ledger):
            if ledger.unsettled:
                work_here(cells, files, place, settings, progress, ledger)
    clear_targets(store, settings, ledger)
    return [ledger.records[cell.key] for cell in cells]


def clear_targets(store: Store, settings: Settings, ledger: Ledger) -> None:
    """Remove what the teacher gave, once all cells are done, unless it is to be kept, or others may be reading it."""
    done = all(record.status == "ok" for record in ledger.records.values())
    if settings.targets_dir is None and done and not Processes(store.processes_path).living():
        store.clear_targets()


def work_here(
    cells: Sequence[Cell],
    files: BaseFiles,
    place: Workplace,
    settings: Settings,
    progress: Progress,
    ledger: Ledger,
    workers: int = 1,
) -> None:
    """Be one of so many workers on these cells, until all of them are settled."""
    store = LeasedStore(place.store.directory, place.leases)
    progress = _announced(progress, place.presence)
    with remembered() as interruption:

        @cache
        def runner() -> PassRunner:  # a worker that only waits for others needs no model
            base = load(files, settings.device)
            use_threads_for(base.model)
            return PassRunner(files, base, store, settings, progress, interruption)

        def run_pass(together: Sequence[Cell], attempts: Mapping[str, int]) -> list[Record]:
            try:
                tell(together, attempts)
                return runner().run(together, attempts)
            finally:
                place.presence.doing("", ())

        # Cut from the whole plan, so that a pass that was interrupted is trained again in the same company: rounding
        # errors depend on it.
        worker = Worker(store, ledger, run_pass, progress.cell_finished)
        with no_cells_faults(store.directory):
            worker.work(groups(cells, settings.adapters_per_pass, workers))


def _announced(progress: Progress, presence: Presence) -> Progress:
    """The same callbacks, whose news the heartbeat tells too."""

    def training_started(cells: Sequence[Cell]) -> None:
        presence.doing(f"training {pass_label(cells)}", [cell.key for cell in cells])
        progress.training_started(cells)

    def training(check: Check) -> None:
        presence.doing(f"training: {check}")
        progress.training(check)

    def cell_started(cell: Cell) -> None:
        presence.doing(f"evaluating {cell.label}", [cell.key])
        progress.cell_started(cell)

    return replace(progress, training_started=training_started, training=training, cell_started=cell_started)
