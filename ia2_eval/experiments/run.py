"""Runs the cells of a plan on one loaded base model: trains the adapters that are missing, then evaluates."""

from __future__ import annotations

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.interruption import remembered
from ia2_eval.experiments.lock import sole_run
from ia2_eval.experiments.passes import passes
from ia2_eval.experiments.progress import Progress
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.run_pass import PassRunner
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import BaseFiles, load, use_threads_for


def run(cells: list[Cell], files: BaseFiles, store: Store, settings: Settings, progress: Progress) -> list[Record]:
    """Run the cells that have no good record yet; gives the records of all cells, those of failed ones included.

    Adapters are stored as soon as they are trained, and a record is written as soon as its cell has been evaluated: an
    interrupted run loses the adapters that were being trained, or the running evaluation, and nothing else. A cell
    that fails is recorded with its traceback and does not stop the others; the next run tries it again.

    Raises:
        UserError: another process is running in the same directory, or the device is not there.
    """
    records = {cell.key: record for cell in cells if (record := store.done(cell, progress.damaged))}
    if any(cell.key not in records for cell in cells):
        base = load(files, settings.device)
        use_threads_for(base.model)
        with sole_run(store.directory), remembered() as interruption:
            store.place_adapters()
            runner = PassRunner(files, base, store, settings, progress, interruption)
            # Cut from the whole plan, so that a pass that was interrupted is trained again in the same company:
            # rounding errors depend on it.
            for together in passes(cells, settings.adapters_per_pass):
                for record in runner.run([cell for cell in together if cell.key not in records]):
                    records[record.key] = record
    if settings.targets_dir is None and all(record.status == "ok" for record in records.values()):
        store.clear_targets()
    return [records[cell.key] for cell in cells]
