"""What the engine costs by itself: 5,000 cells that take no time, planned, leased, recorded and watched.

    python bench/engine_overhead.py [--cells 5000] [--out DIRECTORY]

One worker in this process and then two processes side by side; the limit is 20 ms for each cell.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.engines.groups import groups
from ia2_eval.experiments.engines.work import LeasedStore, Worker
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.ownership.workplace import Workplace, working_in
from ia2_eval.experiments.provenance import provenance
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import Base

LIMIT = 20.0
"""Milliseconds for each cell."""
METHODS, RATES, ADAPTERS_PER_PASS = ("sft", "ia2", "ia2_sft"), (1e-3, 3e-3, 1e-2), 15
FIELDS = {
    "base": Base(model="embedded", fingerprint="0" * 64),
    "source": "embedded_mood",
    "evals": ("embedded_mood",),
    "data": "0" * 16,
    "adapter": Lora(),
    "epochs": 1,
    "batch_size": 8,
    "target_tokens": 1,
}

Value = TypeVar("Value")


def synthetic(count: int) -> list[Cell]:
    """Cells of several methods and learning rates, and of as many seeds as it takes."""
    cells = [
        Cell.model_validate({**FIELDS, "method": method, "n": n, "seed": seed, "learning_rate": rate})
        for n in (4, 8)
        for method in METHODS
        for seed in range(count // (2 * len(METHODS) * len(RATES)) + 1)
        for rate in RATES
    ]
    return cells[:count]


def empty(store: LeasedStore) -> Callable[[Sequence[Cell], Mapping[str, int]], list[Record]]:
    """Runs a pass by writing its records."""

    def run_pass(cells: Sequence[Cell], attempts: Mapping[str, int]) -> list[Record]:
        records = [
            Record(key=cell.key, cell=cell, status="ok", provenance=provenance("cpu", 0.0), attempt=attempts[cell.key])
            for cell in cells
        ]
        for record in records:
            store.write_record(record)
        return records

    return run_pass


def timed(what: str, count: int, work: Callable[[], Value]) -> tuple[Value, float]:
    """The result of some work, and its milliseconds for each cell, which are printed; on a machine that is busy with
    other things the CPU time of this process and its children tells more."""
    started, processor = time.perf_counter(), sum(os.times()[:4])
    result = work()
    each = 1000 * (time.perf_counter() - started) / count
    print(f"{what}: {each:.2f} ms per cell ({1000 * (sum(os.times()[:4]) - processor) / count:.2f} CPU)", flush=True)
    return result, each


def work(store: Store, cells: Sequence[Cell], workers: int) -> None:
    """Be one of the workers, as `ia2-eval run` is, without a model."""
    ledger = Ledger(store, [cell.key for cell in cells])
    with working_in(store, "worker") as place, place.tidied(ledger):
        leased = LeasedStore(store.directory, place.leases)
        Worker(leased, ledger, empty(leased), lambda record: None).work(groups(cells, ADAPTERS_PER_PASS, workers))


def watch(store: Store, cells: Sequence[Cell], place: Workplace) -> None:
    """What a driver does while others work."""
    ledger = Ledger(store, [cell.key for cell in cells])
    with place.tidied(ledger):
        while ledger.unsettled:
            ledger.refresh()
            place.processes.living()
            time.sleep(0.5)


def side_by_side(store: Store, cells: Sequence[Cell], count: int) -> None:
    """So many workers as processes of their own, started from this one as a driver."""
    command = [sys.executable, __file__, "--cells", str(len(cells)), "--out", str(store.directory), "--be-one-of"]
    workers = [
        subprocess.Popen([*command, str(count)], env={**os.environ, "OMP_NUM_THREADS": "1"}) for _ in range(count)
    ]
    with working_in(store, "driver") as place:
        watch(store, cells, place)
        for worker in workers:
            if worker.wait():
                raise SystemExit(f"a worker ended with {worker.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--out", type=Path, help="where to write; a file server shows what it costs there")
    parser.add_argument("--be-one-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be_one_of:
        work(Store(arguments.out), synthetic(arguments.cells), arguments.be_one_of)
        return
    synthetic(1)[0].training_method  # noqa: B018 - imports torch, once in a process
    provenance("cpu", 0.0)  # looks up versions, likewise
    with tempfile.TemporaryDirectory(dir=arguments.out) as scratch:
        one, two = Store(Path(scratch, "one")), Store(Path(scratch, "two"))
        cells, planning = timed("cells with their keys", arguments.cells, lambda: synthetic(arguments.cells))
        _, writing = timed("plan.json", len(cells), lambda: one.write_plan(cells))
        cut, _ = timed("cut into groups for 2 workers", len(cells), lambda: groups(cells, ADAPTERS_PER_PASS, 2))
        _, alone = timed("1 worker: groups, leases, store, ledger", len(cells), lambda: work(one, cells, 1))
        ledger = Ledger(one, [cell.key for cell in cells])
        timed("a first look at all records", len(cells), ledger.refresh)
        _, beside = timed(
            "2 workers and a driver, start included", len(cells), lambda: side_by_side(two, cells, count=2)
        )
        for store in (one, two):
            done = Ledger(store, [cell.key for cell in cells])
            done.refresh()
            if done.unsettled or len(list(store.directory.glob("records/*"))) != len(cells):
                raise SystemExit(f"{len(done.unsettled)} cells have no record")
            if store.work_path.exists():
                raise SystemExit(f"something was left in {store.work_path}")
    most = planning + writing + max(alone, beside)
    print(f"{len(cells)} cells in {len(cut)} groups: {most:.2f} ms per cell, at most {LIMIT:.0f} ms")
    raise SystemExit(0 if most <= LIMIT else 1)


if __name__ == "__main__":
    main()
