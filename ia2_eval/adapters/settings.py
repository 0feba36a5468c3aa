"""What stored adapters are evaluated on, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from ia2_eval import __version__
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.version import SCORING_VERSION

MODELS = ("ia2-hf", "vllm")
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
DTYPES: tuple[str, ...] = get_args(Base.model_fields["dtype"].annotation)


@dataclass(frozen=True)
class EvaluationSettings:
    """The choices of a command line."""

    base: str
    tasks: tuple[str, ...]
    """Names and patterns of this package's tasks and of lm-eval's."""
    out: Path
    model: str = "ia2-hf"
    dtype: str = "float32"
    num_fewshot: int | None = None
    """Demonstrations; None for the tasks' own choice."""
    seed: int = 0
    """Of the demonstrations of this package's tasks."""
    protocol: str = "strict"
    data_dir: Path | None = None
    limit: int | None = None
    batch_size: int | None = None
    """None: `BATCH_SIZE`, or as many as vLLM takes."""
    device: str | None = None
    tensor_parallel: int = 1
    """GPUs that vLLM splits every weight over."""
    use_cache: Path | None = None
    """lm-eval's request cache."""

    def __post_init__(self) -> None:
        for option, value, known in (
            ("--model", self.model, MODELS),
            ("--protocol", self.protocol, PROTOCOLS),
            ("--dtype", self.dtype, DTYPES),
        ):
            if value not in known:
                raise UserError(f"{option} is {value!r}.{did_you_mean(value, known)}")
        if not self.tasks:
            raise UserError("--tasks names no task: give names, comma-separated, such as ia2_sst2,ia2_gsm8k")
        if self.out.exists() and not self.out.is_dir():
            raise UserError(f"--out {str(self.out)!r} is a file; give a directory")
        if self.model == "vllm" and self.device is not None:
            raise UserError("vLLM takes no --device: choose GPUs with CUDA_VISIBLE_DEVICES")
        if self.tensor_parallel < 1:
            raise UserError(f"--tensor-parallel is {self.tensor_parallel}: give a number of GPUs, 1 or more")
        if self.model != "vllm" and self.tensor_parallel > 1:
            raise UserError(
                f"--tensor-parallel {self.tensor_parallel} is for vLLM: add --model vllm, or spread the layers of "
                f"{self.model} over all GPUs with --device auto"
            )
        if self.model == "vllm" and self.paper:
            raise UserError("--protocol paper evaluates merged adapters, which vLLM cannot: use --model ia2-hf")

    @property
    def paper(self) -> bool:
        return self.protocol == "paper"

    def identity(self, base: str, adapter: str | None, tasks: Mapping[str, Mapping[str, str | None]]) -> dict[str, Any]:
        """What decides the results of an adapter; kept with them, and asked for before it is evaluated again.

        Args:
            base: fingerprint of the base.
            adapter: sha256 of the adapter; None for the base alone.
            tasks: by name the version of each, and sha256 of its examples, if they are this package's.
        """
        return {
            "model": self.model,
            "base": base,
            "dtype": self.dtype,
            "adapter": adapter,
            "tasks": {name: dict(tasks[name]) for name in sorted(tasks)},
            "num_fewshot": self.num_fewshot,
            "seed": self.seed,
            "protocol": self.protocol,
            "limit": self.limit,
            "versions": {"ia2_eval": __version__, "scoring": SCORING_VERSION, "lm_eval": version("lm_eval")},
        }
