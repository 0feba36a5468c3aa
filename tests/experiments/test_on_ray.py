"""Sweeps through Ray, on a cluster of this machine."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines.choice import EngineChoice, choose
from ia2_eval.experiments.engines.on_ray import RayWorkers
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.ownership.processes import Process, Processes
from ia2_eval.experiments.plan import load_data, plan
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import locate
from tests.experiments.small_runs import results, small_recipe, small_run

PATIENCE = 120.0
"""Seconds."""
STARTS = 3
"""Of Ray, at most."""
RECIPE = small_recipe(methods=["no_icl", "icl", "sft"], seeds=[0, 1])
CPU = Settings(device="cpu")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Of this machine, with two CPUs however many it has, and no GPU."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ia2-eval[ray]'")
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for attempt in range(STARTS):
            try:
                ray.init("local", num_cpus=2, num_gpus=0, object_store_memory=100 * 2**20, **quiet)
                break
            except Exception:  # a bare one after 30 s, which a busy machine may need for it
                ray.shutdown()
                if attempt == STARTS - 1:
                    raise
        yield
        ray.shutdown()


def sweep_to(out: Path, workers: int = 2) -> Sweep:
    files = locate(RECIPE.base)
    cells = plan(RECIPE, files.base, load_data(RECIPE))
    return Sweep(cells=tuple(cells), base=files.base, out=out, settings=CPU, workers=workers).from_anywhere()


def started(sweep: Sweep, act: Callable[[RayWorkers], bool]) -> list[str]:
    """What the workers of a sweep say until `act`, which is called again and again, is content."""
    engine = choose(EngineChoice("ray", sweep.workers), CPU).engine
    assert engine
    said: list[str] = []
    deadline = time.monotonic() + PATIENCE
    with engine.start(sweep) as workers:
        assert isinstance(workers, RayWorkers)
        while not act(workers):
            assert time.monotonic() < deadline, said
            said += workers.look_after().lines
            time.sleep(0.05)
    return said


def at_work(out: Path) -> list[Process]:
    return [process for process in Processes(Store(out).processes_path).living() if process.role == "worker"]


def test_two_workers_do_as_one_process_does_though_they_are_killed(tmp_path: Path) -> None:
    """One worker process is killed, and of another one the Ray process that looks after it."""
    alone = small_run(RECIPE, tmp_path / "alone")
    sweep, killed = sweep_to(tmp_path / "run"), list[int]()
    store = Store(sweep.out)
    store.write_plan(sweep.cells)

    def act(workers: RayWorkers) -> bool:
        for process in at_work(sweep.out):
            if process.pid in killed or len(killed) == 2:
                continue
            killed.append(process.pid)
            keeper = psutil.Process(process.pid).ppid()
            os.kill(process.pid if len(killed) == 1 else keeper, signal.SIGKILL)
        return len(killed) == 2 and all(store.done(cell) for cell in sweep.cells)

    said = started(sweep, act)
    assert sum("was lost (killed by SIGKILL), another one starts" in line for line in said) == 1
    assert sum("was lost (WorkerCrashedError: " in line for line in said) == 1
    records = [store.record(cell.key) for cell in sweep.cells]
    assert results([record for record in records if isinstance(record, Record)]) == results(alone.records)
    assert not any(psutil.pid_exists(pid) for pid in killed)


def test_workers_end_with_their_tasks_and_blame_no_cell(tmp_path: Path) -> None:
    sweep = sweep_to(tmp_path / "run")
    Store(sweep.out).write_plan(sweep.cells)
    seen: list[Process] = []

    def act(workers: RayWorkers) -> bool:
        seen[:] = at_work(sweep.out)
        return any(process.cells for process in seen)

    started(sweep, act)
    deadline = time.monotonic() + PATIENCE
    while at_work(sweep.out):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes = Processes(Store(sweep.out).processes_path)
    left = [processes.read(process.id) for process in seen]
    assert not any(process and process.cells for process in left)


def test_what_a_worker_says_to_the_user_arrives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not see the plan in --out .*give a directory on a file system"):
        started(sweep_to(tmp_path / "elsewhere", workers=1), lambda workers: False)


@pytest.mark.parametrize(
    ("choice", "device", "message"),
    [
        (EngineChoice("ray"), "cuda", r"1 worker needs 1 GPU and 1 CPU each, .* room for 0 "),
        (EngineChoice("ray", 2, gpus_per_worker=4), None, r"2 workers need 4 GPUs and 1 CPU each, .* room for 0 "),
        (EngineChoice("ray", 3), "cpu", r"3 workers need 1 CPU each, .* room for 2 .*0 GPUs and 2 CPUs"),
    ],
)
def test_more_than_the_cluster_has_stops_at_once(choice: EngineChoice, device: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose(choice, Settings(device=device))


def test_as_many_workers_as_the_cluster_has_room_for() -> None:
    assert choose(EngineChoice("ray"), Settings()).workers == 2


def test_an_address_where_nothing_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        before = time.monotonic()
        with pytest.raises(UserError, match=rf"nothing answers at --ray-address '{address}'"):
            choose(EngineChoice("ray", ray_address=address), CPU)
        assert time.monotonic() - before < 10
    for wrong in ("ray://head:10001", "head"):
        with pytest.raises(UserError, match="give HOST:PORT of the head node, or auto"):
            choose(EngineChoice("ray", ray_address=wrong), CPU)


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'ia2-eval\[ray\]'"):
        choose(EngineChoice("ray"), CPU)
