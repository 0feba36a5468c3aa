"""Where a result comes from: versions, commit, device, time and memory."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ia2_eval.experiments.record import Provenance

PACKAGES = ("ia2-eval", "lm_eval", "torch", "transformers", "peft", "accelerate", "datasets", "netcal", "numpy")

CHECKOUT = Path(__file__).parents[2]
CODE = ("ia2_eval", "training", "tasks", "pyproject.toml")
"""What changes results; a run's own files, which may lie in the checkout, do not."""


def provenance(device: str, wall_seconds: float, earlier_peak: int | None = None) -> Provenance:
    """Provenance of a cell that has just ended on `device`.

    Args:
        device: of the model.
        wall_seconds: what the cell took.
        earlier_peak: peak memory in bytes of a part of the work that was done before.
    """
    commit, dirty = git_state()
    return Provenance(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        versions=versions(),
        git_commit=commit,
        git_dirty=dirty,
        device=device,
        wall_seconds=round(wall_seconds, 3),
        peak_memory_bytes=max(filter(None, (peak_memory(device), earlier_peak)), default=None),
    )


@cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that a result depends on, and of Python."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def git_state() -> tuple[str | None, bool | None]:
    """Commit of this checkout and whether its code has uncommitted changes; (None, None) for an installed package."""
    if not (CHECKOUT / ".git").exists():
        return None, None
    try:
        return _git("rev-parse", "HEAD").strip(), bool(changed_files())
    except (OSError, subprocess.CalledProcessError):
        return None, None


def changed_files() -> list[str]:
    """Files of this checkout that change results and are not as committed; none for an installed package.

    Raises:
        OSError, subprocess.CalledProcessError: git cannot be asked.
    """
    if not (CHECKOUT / ".git").exists():
        return []
    return [line[3:] for line in _git("status", "--porcelain", "--", *CODE).splitlines()]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, check=True).stdout


def reset_peak_memory() -> None:
    """Begin to measure anew, where that is possible: on CUDA devices."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> int | None:
    """Peak memory in bytes: allocated on all CUDA devices since the reset, else resident in all; None on Windows."""
    if device.startswith("cuda"):
        import torch

        return sum(torch.cuda.max_memory_allocated(each) for each in range(torch.cuda.device_count()))
    try:
        import resource
    except ImportError:  # Windows has no such module
        return None
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(resident if sys.platform == "darwin" else resident * 1024)
