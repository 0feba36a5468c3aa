"""Timing two ways of doing one thing against each other, in one run."""

from __future__ import annotations

import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Comparison:
    """Seconds of both ways, measured in turn."""

    name: str
    baseline: str
    baseline_seconds: tuple[float, ...]
    seconds: tuple[float, ...]
    notes: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster than the baseline: median over median."""
        return statistics.median(self.baseline_seconds) / statistics.median(self.seconds)

    def __str__(self) -> str:
        def shown(seconds: tuple[float, ...]) -> str:
            low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
            return f"{middle:.3f} s ({low:.3f} to {high:.3f}, n={len(seconds)})"

        return (
            f"{self.name}: {self.ratio:.1f} x faster than {self.baseline}: {shown(self.seconds)} "
            f"against {shown(self.baseline_seconds)}{self.notes and '; ' + self.notes}"
        )


def compare(
    name: str,
    way: Callable[[], object],
    baseline: str,
    slow_way: Callable[[], object],
    repeats: int = 3,
    baseline_repeats: int | None = None,
    notes: str = "",
) -> Comparison:
    """Time both ways in turn, after one run of the faster one to warm up.

    A baseline of many minutes may be run less often than what is measured against it.
    """
    way()
    slow, fast = [], []
    for repeat in range(repeats):
        if repeat < (baseline_repeats or repeats):
            slow.append(seconds(slow_way))
        fast.append(seconds(way))
    return Comparison(name, baseline, tuple(slow), tuple(fast), notes)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call; on a GPU, until its work is done."""
    synchronise()
    start = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - start


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> str:
    """Most memory so far: of the process, and on the GPU where there is one."""
    text = f"peak memory {resident() / 2**30:.2f} GiB of the process"
    if torch.cuda.is_available():
        text += f", {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the GPU"
    return text


def resident() -> int:
    """Most resident memory of this process in bytes. What Linux reports as such of a child includes its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def machine() -> str:
    """What was measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})"
    return f"{device}, {torch.get_num_threads()} CPU thread(s), torch {torch.__version__}"
