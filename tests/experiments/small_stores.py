"""Run directories without a model: records, processes that work there, and what they leave when they are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ia2_eval.experiments.ownership.processes import Process
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store
from tests.leaderboard.synthetic_run import make_record

WORK = """
import sys
from pathlib import Path
from ia2_eval.experiments.ownership.workplace import working_in
from ia2_eval.experiments.store import Store
with working_in(Store(Path(sys.argv[1])), sys.argv[2]) as place:
    if cells := sys.argv[3:]:
        assert place.leases.acquire(cells)
        place.presence.doing("evaluating", cells)
        (place.store.partial_path(place.presence.id) / "half").write_text("x" * 1000)
    print("working", flush=True)
    sys.stdin.read()
"""


@contextmanager
def working(directory: Path, *cells: str, role: str = "worker") -> Iterator[subprocess.Popen[str]]:
    """A process that works in a directory, at some cells; killed at the end."""
    command = [sys.executable, "-c", WORK, str(directory), role, *cells]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "working\n"
        try:
            yield process
        finally:
            process.kill()


def small_records(count: int = 4, **settings: Any) -> list[Record]:
    """Records that differ in their seeds."""
    return [make_record("ia2", {"sst2": {"acc": 0.5}}, seed=seed, **settings) for seed in range(count)]


def failed(record: Record, cause: str | None = "RuntimeError: broken", error: str = "Traceback", **more: Any) -> Record:
    """The same cell, which failed."""
    changes = {"status": "failed", "cause": cause, "error": error, "training": None, "evaluations": ()}
    return record.model_copy(update=changes | more)


def small_store(directory: Path, records: list[Record], left: int = 0) -> Store:
    """A directory with these records but the last `left`, and a plan of all of them."""
    store = Store(directory)
    store.write_plan(record.cell for record in records)
    for record in records[: len(records) - left]:
        store.write_record(record)
    return store


def elsewhere(store: Store, name: str, *cells: str, beat: int = 7, **more: Any) -> Process:
    """Put the heartbeat of a process of another machine into a directory."""
    process = Process(
        id=name, role="worker", host="node-7", machine="another", pid=1, beat=beat, cells=cells, **{"doing": "x"} | more
    )
    store.processes_path.mkdir(parents=True, exist_ok=True)
    (store.processes_path / f"{name}.json").write_text(process.model_dump_json())
    return process
