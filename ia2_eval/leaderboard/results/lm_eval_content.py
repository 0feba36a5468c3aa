"""What stands in a `results_<time>.json` of lm-eval."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ia2_eval.benchmarks import BENCHMARKS
from ia2_eval.leaderboard.results.read import require_possible
from ia2_eval.protocol import Protocol

NOT_OURS = "tasks that are not this package's"
MTBENCH = "MT-Bench is judged, not scored: `ia2-eval mtbench` takes its samples"
GROUPS = "groups are means over tasks, which are shown themselves"


class TaskResult(NamedTuple):
    """One task of a file."""

    task: str
    benchmark: str
    source: str
    protocol: Protocol
    shots: int | None
    """Demonstrations, N; None without."""
    seed: int
    """Of the demonstrations."""
    limit: int | None
    """None, too, where it is no less than what there is."""
    n: int
    metrics: dict[str, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Metadata(_Part):
    ia2_eval: str | None = None
    ia2_source: str | None = None
    ia2_seed: int = 0
    ia2_n: int | None = None
    ia2_protocol: Protocol = "strict"
    ia2_bench: str | None = None


class _Task(_Part):
    metadata: _Metadata | None = None


class _Examples(_Part):
    original: int
    effective: int


class _Configuration(_Part):
    model: str | None = None
    model_args: dict[str, Any] | str | None = None
    model_dtype: str | None = None
    model_sha: str | None = None
    limit: float | None = None
    device: str | None = None
    gen_kwargs: dict[str, Any] | str | None = None


class LmEvalResults(_Part):
    """The parts of the file that are read."""

    results: dict[str, dict[str, Any]]
    configs: dict[str, _Task]
    versions: dict[str, Any] = {}
    shots: dict[str, int] = Field(alias="n-shot", default={})
    examples: dict[str, _Examples] = Field(alias="n-samples", default={})
    config: _Configuration
    date: float
    git_hash: str | None = None
    lm_eval_version: str | None = None
    transformers_version: str | None = None
    total_evaluation_time_seconds: float | None = None
    system_instruction_sha: str | None = None
    chat_template_sha: str | None = None
    ia2_eval: dict[str, Any] | None = None
    """What `ia2-eval evaluate` adds."""

    @property
    def created(self) -> str:
        return datetime.fromtimestamp(self.date, timezone.utc).isoformat(timespec="microseconds")

    @cached_property
    def arguments(self) -> dict[str, str]:
        """Those of the model."""
        given = self.config.model_args or {}
        if isinstance(given, str):
            pairs = (part.partition("=") for part in given.split(","))
            return {name.strip(): value.strip() for name, _, value in pairs}
        return {name: str(value) for name, value in given.items() if value is not None}

    def tasks(self) -> Iterator[TaskResult | tuple[str, str]]:
        """Each result; of one that cannot be used, its name and the reason.

        Raises:
            ValueError: a task of this package lacks what its results need, or has an impossible one.
        """
        for name, found in self.results.items():
            metadata = self.configs[name].metadata if name in self.configs else None
            if name not in self.configs:
                yield name, GROUPS
            elif metadata is not None and metadata.ia2_bench is not None:
                yield name, MTBENCH
            elif metadata is None or metadata.ia2_eval is None:
                yield name, NOT_OURS
            elif metadata.ia2_eval not in BENCHMARKS or (metadata.ia2_source or metadata.ia2_eval) not in BENCHMARKS:
                yield name, "benchmarks that this ia2-eval does not know"
            elif str(self.versions.get(name)) != str(BENCHMARKS[metadata.ia2_eval].version):
                yield name, "another version of the benchmark: evaluate it again"
            else:
                yield self._task(name, metadata.ia2_eval, metadata, found)

    def _task(self, name: str, benchmark: str, metadata: _Metadata, found: dict[str, Any]) -> TaskResult:
        if name not in self.examples:
            raise ValueError(f"n-samples: the number of examples of {name} is missing")
        metrics = _metrics(found)
        require_possible(metrics, name)
        examples, limit = self.examples[name], self.config.limit
        n = examples.effective
        # Under `paper` the demonstrations stand in the documents, N - 1 of them.
        shots = metadata.ia2_n if metadata.ia2_protocol == "paper" else self.shots.get(name)
        return TaskResult(
            task=name,
            benchmark=benchmark,
            source=metadata.ia2_source or benchmark,
            protocol=metadata.ia2_protocol,
            shots=shots or None,
            seed=metadata.ia2_seed,
            limit=None if limit is None or n == examples.original else n,
            n=n,
            metrics=metrics,
        )


def _metrics(found: dict[str, Any]) -> dict[str, float]:
    """Numbers by lm-eval's names without its filter; without standard errors, and what is not defined."""
    return {
        name.removesuffix(",none"): float(value)
        for name, value in found.items()
        if name.endswith(",none")
        and "_stderr" not in name
        and isinstance(value, int | float)
        and value == value  # NaN: not defined
    }


def read_content(path: Path) -> LmEvalResults:
    """
    Raises:
        OSError: it cannot be read.
        ValueError: it is no file of lm-eval's results.
    """
    return LmEvalResults.model_validate_json(path.read_bytes())
