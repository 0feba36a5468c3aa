"""The Ray engine: workers as tasks of a Ray cluster, wherever it has room for them.

A task is one worker: a process on its node, as the local engine starts it, which the task looks after. The task gives
what happened to its worker as a stream that the driver reads. When a task ends, however it ends, and with it when the
driver does, the standard input of the process is closed, and the process ends itself.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ia2_eval import __version__
from ia2_eval.errors import UserError
from ia2_eval.experiments.engines.choice import Chosen, EngineChoice
from ia2_eval.experiments.engines.drive import News, WorkerError
from ia2_eval.experiments.engines.local import PATIENCE, LocalWorkers, WorkerProcess
from ia2_eval.experiments.engines.ray_cluster import nodes
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.engines.work import POLL_SECONDS
from ia2_eval.experiments.settings import Settings

if TYPE_CHECKING:
    from ray import ObjectRefGenerator

CPUS = 1
"""That a worker asks for. Ray has it compute with as many threads, and many small workers do more than many threads."""
WAITING_SECONDS = 30.0
"""Without a place in the cluster, after which a worker is said to wait."""
PASSED_ON = ("HF_", "TRANSFORMERS_", "OMP_NUM_THREADS")
"""Beginnings of the environment variables that workers get from the driver, where they are set."""


def choose_on_ray(choice: EngineChoice, settings: Settings) -> Chosen:
    """Connect to the cluster, or start one of this machine, and find out how many workers it has room for.

    Without a number: as many as its GPUs allow; where there are none, one for each CPU, which computes with one thread.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached, or it has less than is asked for.
    """
    cluster = nodes(choice.ray_address)
    gpus = sum(node.gpus for node in cluster)
    each = choice.gpus_per_worker
    if settings.device == "cuda" or each > 1 or (gpus and settings.device in (None, "auto")):
        room = sum(min(node.gpus // each, node.cpus // CPUS) for node in cluster)
    else:
        each, room = 0, sum(node.cpus // CPUS for node in cluster)
    workers = choice.workers or max(1, room)
    if workers > room:
        asking = f"{workers} workers need" if workers > 1 else "1 worker needs"
        needed = f"{each} GPU{'s' * (each > 1)} and {CPUS} CPU each" if each else f"{CPUS} CPU each"
        there = "; ".join(f"{node.gpus} GPUs and {node.cpus} CPUs" for node in cluster) or "no nodes"
        raise UserError(
            f"{asking} {needed}, and the Ray cluster has room for {room} (its nodes: {there}): give fewer --workers, "
            "fewer --gpus-per-worker or --device cpu, or add nodes"
        )
    return Chosen(RayEngine(each), workers, settings)


@dataclass(frozen=True)
class RayEngine:
    """Workers in the cluster that this process is connected to, which is left as it was."""

    gpus: int
    """Of each worker; 0: workers compute on the CPU."""

    def warm_up(self, workers: int) -> None:
        """Nothing: a task begins when there is a sweep."""

    @contextmanager
    def start(self, sweep: Sweep) -> Iterator[RayWorkers]:
        started = RayWorkers(sweep.model_dump_json(), self.gpus, sweep.workers)
        # Ray tells at length there what befalls its nodes, of which the driver tells in a line; a run writes elsewhere.
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            try:
                started.look_after()
                yield started
            finally:
                started.end()


@dataclass
class RayWorkers:
    """Workers that are tasks."""

    sweep: str
    gpus: int
    workers: int
    running: dict[int, _Task] = field(default_factory=dict)
    """By number of the worker; those that have done their work are in it no more."""
    ended: set[int] = field(default_factory=set)
    said_to_wait: bool = False

    def look_after(self) -> News:
        lines, lost = [], 0
        for number in sorted(set(range(1, self.workers + 1)) - self.ended):
            task = self.running.get(number) or self._submit(number)
            try:
                for news in task.news():
                    lines += news.lines
                    lost += news.lost
            except _LostError as error:
                lost += 1
                lines.append(f"worker {number} was lost ({error}), another one starts")
                self._submit(number)
            if task.ended:
                self.ended.add(number)
        waiting = [task for task in self.running.values() if task.waits(WAITING_SECONDS)]
        if waiting and not self.said_to_wait:
            self.said_to_wait = True
            lines.append(
                f"{len(waiting)} of {self.workers} workers wait for room in the Ray cluster, and begin when there is"
            )
        return News(lines, lost, len(self.ended) == self.workers)

    def _submit(self, number: int) -> _Task:
        import ray

        work = ray.remote(_work).options(
            num_cpus=CPUS,
            num_gpus=self.gpus,
            max_retries=0,  # who is lost is replaced here, and told of
            num_returns="streaming",
            # The process ends by itself, and says that its cells are not to blame. Ray would kill it before it can.
            runtime_env={"env_vars": {"RAY_kill_child_processes_on_worker_exit": "false"}},
        )
        # As an argument: Ray's logs and its dashboard show a runtime environment, and this one may have a token.
        environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        task = _Task(work.remote(number, self.sweep, environment, __version__))
        self.running[number] = task
        return task

    def end(self) -> None:
        """End all of them: gently, so that their processes end in order, and those that do not by force."""
        import ray

        tasks = [task.stream for number, task in self.running.items() if number not in self.ended]
        if not tasks:
            return
        for task in tasks:
            ray.cancel(task)
        completed = {task.completed(): task for task in tasks}
        _, left = ray.wait(list(completed), num_returns=len(completed), timeout=2 * PATIENCE)
        for reference in left:
            ray.cancel(completed[reference], force=True)


class _LostError(Exception):
    """A task ended before its work was done; the message says how."""


@dataclass
class _Task:
    stream: ObjectRefGenerator
    submitted: float = field(default_factory=time.monotonic)
    started: bool = False
    ended: bool = False

    def waits(self, seconds: float) -> bool:
        return not self.started and time.monotonic() - self.submitted > seconds

    def news(self) -> Iterator[News]:
        """What happened since the last look.

        Raises:
            UserError, WorkerError: the worker met with it.
            _LostError: the process, its node or its memory is gone.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError

        while not self.ended and ray.wait([self.stream], timeout=0)[0]:
            try:
                news: News = ray.get(next(self.stream))
            except StopIteration:
                self.ended = True
                return
            except RayTaskError as error:
                if isinstance(error, TaskCancelledError):
                    raise _LostError("cancelled") from None
                raise _of_worker(error) from None
            except RayError as error:
                raise _LostError(f"{type(error).__name__}: {_first_sentence(error)}") from None
            self.started = True
            yield news


def _of_worker(error: Any) -> UserError | WorkerError:
    """What a task raised, as it was there."""
    cause = error.cause
    if isinstance(cause, (UserError, WorkerError)):
        return cause
    if "No module named 'ia2_eval" in str(error):
        return UserError(f"a node of the Ray cluster has no ia2-eval: install {__version__} on every node")
    return WorkerError(str(error))


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".") or "no reason given"


def _work(number: int, sweep: str, environment: dict[str, str], version: str) -> Iterator[News]:
    """On a node: look after one worker until it has done its work; gives its news, at first that it has started."""
    if version != __version__:
        raise UserError(
            f"{socket.gethostname()} has ia2-eval {__version__}, and the driver {version}: install the same version "
            "on every node"
        )
    worker = WorkerProcess(number, {**os.environ, **environment}, sweep)
    workers = LocalWorkers([worker])
    try:
        worker.start()
        yield News([], 0)
        while worker.process and worker.process.poll() != 0:
            time.sleep(POLL_SECONDS / 2)
            news = workers.look_after()
            if news.lines or news.lost:
                yield news
        yield workers.look_after()
    finally:
        workers.end()
