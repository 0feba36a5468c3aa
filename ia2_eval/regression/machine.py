"""What must be alike for the same code to give the same bits."""

from __future__ import annotations

import platform
from pathlib import Path

from pydantic import Field

from ia2_eval.experiments.provenance import versions
from ia2_eval.frozen import Frozen

OWN_PACKAGE = "ia2-eval"
"""Whose changes the gate is there to find, so that its version must not matter."""


class Machine(Frozen):
    """Versions and the class of the machine that results were made on."""

    device: str = Field(description="`cpu`, or the name of the GPU")
    processor: str = Field(
        description="architecture and model of the CPU: its instructions decide how sums are rounded"
    )
    instructions: str = Field(description="vector instructions that torch uses")
    threads: int = Field(description="of torch, on the CPU")
    versions: dict[str, str] = Field(description="package -> version, of Python too")

    def differences(self, other: Machine) -> list[str]:
        """What may round differently there; empty where equal bits are to be expected."""
        names = [name for name in type(self).model_fields if name != "versions"]
        found = [
            f"{name} {getattr(other, name)!r} instead of {getattr(self, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
        packages = sorted((self.versions.keys() | other.versions.keys()) - {OWN_PACKAGE})
        found += [
            f"{name} {other.versions.get(name, 'absent')} instead of {self.versions.get(name, 'absent')}"
            for name in packages
            if self.versions.get(name) != other.versions.get(name)
        ]
        if self.device != "cpu":
            found.append(f"{self.device}: GPUs do not add in a fixed order")
        return found


def this_machine(device: str) -> Machine:
    """
    Args:
        device: that the model is on, such as `cpu` or `cuda:0`.
    """
    import torch

    return Machine(
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        processor=f"{platform.machine()} {_processor()}".strip(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        versions=versions(),
    )


def _processor() -> str:
    """Linux says it in a file; elsewhere the platform's own word has to do.

    In a virtual machine the name may stand for several generations, so family, model and stepping go with it.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    numbers = [f"{name} {known[name]}" for name in ("cpu family", "model", "stepping") if name in known]
    return ", ".join(filter(None, [known.get("model name", ""), *numbers]))
