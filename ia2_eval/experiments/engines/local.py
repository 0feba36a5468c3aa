"""The local engine: worker processes on this machine, one per GPU, or a number of them on the CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile
from typing import IO

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines.drive import News, WorkerError
from ia2_eval.experiments.engines.sweep import Sweep

COMMAND = (sys.executable, "-m", "ia2_eval.experiments.engines.worker")
PATIENCE = 10.0
"""Seconds that a worker has to end."""
ERROR = "error: "
"""Before what the user has to mend."""
INDENT = "  "
"""Before its further lines."""


@dataclass
class LocalEngine:
    """Worker processes on this machine."""

    gpus: tuple[tuple[str, ...], ...] | None = None
    """Of each worker, as CUDA_VISIBLE_DEVICES names them; None: workers compute on the CPU."""
    waiting: list[WorkerProcess] = field(default_factory=list)
    """Processes that were started before there was a sweep."""

    def warm_up(self, workers: int) -> None:
        """Start processes, which import what they need while the driver plans; without a sweep they end with it."""
        self.waiting = self._processes(workers)
        for worker in self.waiting:
            worker.spawn()

    @contextmanager
    def start(self, sweep: Sweep) -> Iterator[LocalWorkers]:
        workers = self.waiting or self._processes(sweep.workers)
        self.waiting = []
        content = sweep.model_dump_json()
        started = LocalWorkers(workers)
        try:
            for worker in workers:
                worker.sweep = content
                worker.start()
            yield started
        finally:
            started.end()

    def _processes(self, workers: int) -> list[WorkerProcess]:
        processes = []
        for number in range(workers):
            environment = {"OMP_NUM_THREADS": str(max(1, cores() // workers)), **os.environ}
            if self.gpus is not None:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus[number])
            processes.append(WorkerProcess(number + 1, environment))
        return processes


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class WorkerProcess:
    """A worker, and the processes that are it, one after the other."""

    number: int
    environment: dict[str, str]
    sweep: str = ""
    """As JSON."""
    process: subprocess.Popen[bytes] | None = None
    said: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    heard: int = 0
    """Bytes of `said` that were read."""
    lines: list[str] = field(default_factory=list)
    """That this process wrote."""

    def spawn(self) -> None:
        """Start a process, which waits for a sweep."""
        self.lines = []
        # A session of its own: Ctrl-C in the terminal is the driver's to deal with.
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=self.said,
            stderr=self.said,
            env=self.environment,
            start_new_session=True,
        )

    def start(self) -> None:
        """Have a process work on the sweep: the one that waits, or a new one."""
        if self.process is None or self.process.poll() is not None:
            self.spawn()
        assert self.process and self.process.stdin
        try:
            self.process.stdin.write(self.sweep.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already, which will be seen

    def news(self) -> list[str]:
        """Whole lines that it wrote since the last look."""
        self.said.flush()
        written = os.pread(self.said.fileno(), os.fstat(self.said.fileno()).st_size - self.heard, self.heard)
        whole = written[: written.rfind(b"\n") + 1]
        self.heard += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        self.lines += lines
        return [f"worker {self.number}: {line}" for line in lines]

    def error(self) -> str:
        """What it said that the user has to mend, without what libraries said at its end; "" where it said no such."""
        said = list(dropwhile(lambda line: not line.startswith(ERROR), self.lines))
        more = takewhile(lambda line: line.startswith(INDENT), said[1:])
        return "\n".join([said[0].removeprefix(ERROR), *(line.removeprefix(INDENT) for line in more)]) if said else ""


@dataclass
class LocalWorkers:
    """Worker processes."""

    workers: list[WorkerProcess]

    def look_after(self) -> News:
        lines, lost, idle = [], 0, True
        for worker in self.workers:
            assert worker.process
            status = worker.process.poll()
            idle &= status == 0
            said = worker.news()
            if status == 2 and (error := worker.error()):  # which may have been read before it ended
                raise UserError(error)
            lines += said
            if status == 1:
                raise WorkerError("\n".join([*lines, f"worker {worker.number} met with an error that no cell made"]))
            if status:
                lost += 1
                lines.append(f"worker {worker.number} was lost ({_how(status)}), another one starts")
                worker.start()
        return News(lines, lost, idle)

    def end(self) -> None:
        """End all of them: they live as long as their standard input is open."""
        running = [worker.process for worker in self.workers if worker.process]
        for process in running:
            if process.stdin:
                try:
                    process.stdin.close()
                except BrokenPipeError:
                    continue
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _how(status: int) -> str:
    """How a process ended, from its status."""
    if status > 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
