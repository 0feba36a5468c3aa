"""Which engine runs a sweep, with how many workers, on what this machine or the cluster has."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.engines.drive import Engine
from ia2_eval.experiments.engines.local import LocalEngine, cores
from ia2_eval.experiments.settings import Settings
from ia2_eval.lm.base_model import require_device

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class EngineChoice:
    """What the command line says of workers."""

    engine: str = "local"
    workers: int | None = None
    """None: one for each `gpus_per_worker` GPUs, and one where there is no GPU."""
    gpus_per_worker: int = 1
    ray_address: str | None = None
    """Of an existing cluster; None: a cluster of this machine alone."""


@dataclass(frozen=True)
class Chosen:
    """How a sweep is run."""

    engine: Engine | None
    """None: in this process, which is the only worker."""
    workers: int
    settings: Settings


def choose(choice: EngineChoice, settings: Settings) -> Chosen:
    """Find out what there is, and divide it.

    Raises:
        UserError: an unknown engine, options that do not go together, or more asked for than there is.
    """
    require_sensible(choice, settings)
    if choice.gpus_per_worker > 1:
        settings = replace(settings, device="auto")
    if choice.engine == "ray":
        from ia2_eval.experiments.engines.on_ray import choose_on_ray

        return choose_on_ray(choice, settings)
    return _choose_here(choice, settings)


def require_sensible(choice: EngineChoice, settings: Settings) -> None:
    """
    Raises:
        UserError: an unknown engine, or options that do not go together, whatever machines there are.
    """
    if choice.engine not in ENGINES:
        raise UserError(f"--engine is {choice.engine!r}.{did_you_mean(choice.engine, ENGINES)}")
    if choice.ray_address is not None and choice.engine != "ray":
        raise UserError(f"--ray-address {choice.ray_address!r} is of --engine ray: give that too, or leave it out")
    if choice.gpus_per_worker > 1 and settings.device not in (None, "auto"):
        raise UserError(
            f"--gpus-per-worker {choice.gpus_per_worker} spreads the model over GPUs, which --device "
            f"{settings.device} does not: leave --device out"
        )


def _choose_here(choice: EngineChoice, settings: Settings) -> Chosen:
    there = gpus() if settings.device in (None, "cuda", "auto") else []
    if settings.device not in (None, "cpu") and not there:  # of GPUs that workers will use this process takes no memory
        require_device(str(settings.device))
    each = choice.gpus_per_worker
    if settings.device == "auto" and each == 1:
        each = max(1, len(there))  # one model over all of them
    if choice.gpus_per_worker > len(there) and choice.gpus_per_worker > 1:
        raise UserError(f"--gpus-per-worker is {each}, and this machine has {len(there)} GPUs: give a smaller number")
    room = len(there) // each if there else cores()
    workers = choice.workers or (room if there else 1)
    if workers > 1 and ":" in (settings.device or ""):
        raise UserError(f"--device {settings.device} is of one worker, and --workers is {workers}: give --device cuda")
    if workers > room:
        what = f"GPUs for {room} with {each} each" if there else f"{room} CPU cores"
        raise UserError(f"--workers is {workers}, and this machine has {what}: give a smaller number")
    if workers == 1 and (each == 1 or len(there) == each):
        return Chosen(None, 1, settings)
    divided = tuple(tuple(there[i * each : (i + 1) * each]) for i in range(workers)) if there else None
    return Chosen(LocalEngine(divided), workers, settings)


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (named or [str(number) for number in range(count)])[:count]
