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
from typing import IO

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines.drive import News, WorkerError
from ia2_eval.experiments.engines.sweep import Sweep

COMMAND = (sys.executable, "-m", "ia2_eval.experiments.engines.worker")
PATIENCE = 10.0
"""Seconds that a worker has to end."""


@dataclass(frozen=True)
class LocalEngine:
    """Worker processes on this machine."""

    gpus: tuple[tuple[str, ...], ...] | None = None
    """Of each worker, as CUDA_VISIBLE_DEVICES names them; None: workers compute on the CPU."""

    @contextmanager
    def start(self, sweep: Sweep) -> Iterator[LocalWorkers]:
        threads = max(1, cores() // sweep.workers)
        workers = []
        for number in range(sweep.workers):
            environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
            if self.gpus is not None:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus[number])
            workers.append(WorkerProcess(number + 1, sweep.model_dump_json(), environment))
        started = LocalWorkers(workers)
        try:
            for worker in workers:
                worker.start()
            yield started
        finally:
            started.end()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class WorkerProcess:
    number: int
    sweep: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    said: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    heard: int = 0
    """Bytes of `said` that were read."""
    last: str = ""
    """Line that this process wrote."""

    def start(self) -> None:
        self.last = ""
        # A session of its own: Ctrl-C in the terminal is the driver's to deal with.
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=self.said,
            stderr=self.said,
            env=self.environment,
            start_new_session=True,
        )
        assert self.process.stdin
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
        self.last = lines[-1] if lines else self.last
        return [f"worker {self.number}: {line}" for line in lines]


@dataclass
class LocalWorkers:
    """Worker processes."""

    workers: list[WorkerProcess]

    def look_after(self) -> News:
        lines, lost = [], 0
        for worker in self.workers:
            assert worker.process
            status = worker.process.poll()
            said = worker.news()
            if status == 2 and worker.last:  # which may have been read before it ended
                raise UserError(worker.last.removeprefix("error: "))
            lines += said
            if status == 1:
                raise WorkerError("\n".join([*lines, f"worker {worker.number} met with an error that no cell made"]))
            if status:
                lost += 1
                lines.append(f"worker {worker.number} was lost ({_how(status)}), another one starts")
                worker.start()
        return News(lines, lost)

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
