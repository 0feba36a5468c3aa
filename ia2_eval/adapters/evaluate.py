"""What `ia2-eval evaluate` does: many adapters on one loaded base, through lm-eval's tasks."""

from __future__ import annotations

import random
import subprocess
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ia2_eval.adapters.evaluation_csv import EVALUATION_CSV, write_evaluation_csv
from ia2_eval.adapters.origin import remarks, require_base, require_tokenizer, stored_revision
from ia2_eval.adapters.results import find_results, write_results
from ia2_eval.adapters.settings import EvaluationSettings
from ia2_eval.adapters.stored import BASE_NAME, StoredAdapter
from ia2_eval.adapters.table import headlines, print_table, sentence
from ia2_eval.atomic import write_atomically
from ia2_eval.benchmarks.lm_eval_tasks import data_fingerprint, load_tasks
from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, BaseFiles, locate, require_device
from ia2_eval.lm.sharded import refuse_group
from ia2_eval.protocol import Protocol

if TYPE_CHECKING:
    from lm_eval.api.model import LM

FAILURE = "failure.txt"
"""In the directory of an adapter whose last evaluation failed: why."""

Adapted = Callable[[StoredAdapter | None], AbstractContextManager["LM"]]
"""lm-eval's model with an adapter; with None that of the base."""


def evaluate_adapters(
    settings: EvaluationSettings, adapters: Sequence[StoredAdapter], with_base: bool, console: Console
) -> int:
    """Evaluate what has no results yet and print all results; 0, 1 when some failed, or 130 when interrupted.

    Raises:
        UserError: base, tasks or settings cannot be used; nothing has been evaluated.
    """
    if not adapters and not with_base:
        raise UserError("there is nothing to evaluate: give --adapter DIR, --adapters-from RUN or --with-base")
    refuse_group("evaluate")
    quieten()
    if settings.device is not None:
        require_device(settings.device)
    if settings.model == "vllm":
        from ia2_eval.adapters.vllm_adapters import require_gpus, required_rank

        required_rank(adapters)
        require_gpus(settings.tensor_parallel)
    revision = stored_revision(settings.base, adapters)
    asked = {"model": settings.base, "dtype": settings.dtype, "revision": revision}
    files = locate(Base.model_validate(asked))
    require_base(adapters, files)
    require_tokenizer(files)
    for remark in remarks(adapters, files):
        _say(console, remark)
    tasks = load_tasks(settings.tasks, settings.protocol, settings.num_fewshot, settings.seed, settings.data_dir)
    _require_demonstrations(tasks["tasks"], settings.num_fewshot)
    session = _Session(settings, files, tasks)
    subjects = {_name(subject): subject for subject in ([None, *adapters] if with_base else adapters)}
    waiting = [subject for subject in subjects.values() if session.missing(subject)]
    if len(waiting) < len(subjects):
        _say(console, f"{len(subjects) - len(waiting)} of {len(subjects)} have results in {settings.out}")
    try:
        failed = session.evaluate_all(waiting, adapters, console) if waiting else []
    except KeyboardInterrupt:
        done = sum(not session.missing(subject) for subject in subjects.values())
        _say(console, f"interrupted: {done} of {len(subjects)} are evaluated; the same command continues")
        return INTERRUPTED
    if by_adapter := {name: session.stored(subjects[name])[0] for name in subjects if name not in failed}:
        labels = {name: each.cell.label for name, each in subjects.items() if each and each.cell}
        print_table(by_adapter, labels, settings, headlines(session.protocol, by_adapter.values()), console)
        try:
            write_evaluation_csv(settings.out, settings.base, subjects, by_adapter)
        except OSError as error:
            raise UserError(f"cannot write {EVALUATION_CSV} to --out {str(settings.out)!r}: {error}") from error
    if failed:
        _say(console, f"{len(failed)} of {len(subjects)} failed: {', '.join(failed)}; why: {settings.out}/*/{FAILURE}")
    return 1 if failed else 0


@dataclass
class _Session:
    settings: EvaluationSettings
    files: BaseFiles
    tasks: dict[str, Any]
    _environment: dict[str, Any] | None = None

    @property
    def protocol(self) -> Protocol:
        return "paper" if self.settings.paper else "strict"

    def _identity(self, subject: StoredAdapter | None, tasks: Collection[str]) -> dict[str, Any]:
        adapter = subject.sha256 if subject else None
        identities = {name: self._task_identities[name] for name in tasks}
        return self.settings.identity(self.files.base.fingerprint, adapter, identities)

    @cached_property
    def _task_identities(self) -> dict[str, dict[str, str | None]]:
        return {
            name: {"version": str(task.VERSION), "data": data_fingerprint(task, self.settings.data_dir)}
            for name, task in self.tasks["tasks"].items()
        }

    @cached_property
    def _groups(self) -> dict[str, set[str]]:
        """Their tasks."""
        return {name: _members(group) for name, group in self.tasks["groups"].items() if group.has_aggregation}

    def stored(self, subject: StoredAdapter | None) -> tuple[dict[str, Any], set[str]]:
        """Results of earlier evaluations, and the tasks that must be evaluated."""
        identity = self._identity(subject, self.tasks["tasks"])
        return find_results(self.settings.out / _name(subject), identity, self._groups)

    def missing(self, subject: StoredAdapter | None) -> set[str]:
        return self.stored(subject)[1]

    def evaluate_all(
        self,
        waiting: Sequence[StoredAdapter | None],
        adapters: Sequence[StoredAdapter],
        console: Console,
    ) -> list[str]:
        """Load the base and evaluate what waits; names of what failed."""
        try:
            self.settings.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to --out {str(self.settings.out)!r}: {error}") from error
        adapted = _load(self.settings, self.files, adapters)
        failed = []
        for number, subject in enumerate(waiting, start=1):
            name = _name(subject)
            try:
                results = self.evaluate(subject, adapted)
                said = sentence(results, headlines(self.protocol, [results]))
            except Exception as error:
                failed.append(name)
                said = f"failed: {type(error).__name__}: {error}"
                write_atomically(self.settings.out / name / FAILURE, traceback.format_exc().encode())
            what = f" ({subject.cell.label})" if subject and subject.cell else ""
            _say(console, f"[{number}/{len(waiting)}] {name}{what}: {said}")
        return failed

    def evaluate(self, subject: StoredAdapter | None, adapted: Adapted) -> dict[str, Any]:
        """Evaluate an adapter on the tasks that it lacks and write the results."""
        from lm_eval.api.model import CachingLM
        from lm_eval.evaluator import evaluate

        started = time.time()
        names = self.missing(subject)
        tasks = {
            **self.tasks,
            "tasks": {name: task for name, task in self.tasks["tasks"].items() if name in names},
            "groups": {name: each for name, each in self.tasks["groups"].items() if names.issuperset(_members(each))},
        }
        _seed()
        with adapted(subject) as lm:
            cache = self.settings.use_cache
            asked = lm if cache is None else CachingLM(lm, f"{cache}_rank{lm.rank}.db")
            results: dict[str, Any] = evaluate(lm=asked, task_dict=tasks, limit=self.settings.limit)
            self._describe(results, lm, subject, started)
        samples = results.pop("samples")
        directory = self.settings.out / _name(subject)
        results = write_results(directory, self._identity(subject, names), results, samples)
        (directory / FAILURE).unlink(missing_ok=True)
        return results

    def _describe(self, results: dict[str, Any], lm: LM, subject: StoredAdapter | None, started: float) -> None:
        """What lm-eval's `simple_evaluate` adds to the results of `evaluate`."""
        from lm_eval.loggers.utils import add_env_info, add_tokenizer_info

        if self._environment is None:  # lm-eval collects it in a second or two
            self._environment = {"git_hash": _git_hash()}
            add_env_info(self._environment)
        settings = self.settings
        arguments: dict[str, str | int] = {"pretrained": settings.base, "dtype": settings.dtype}
        if settings.tensor_parallel > 1:
            arguments["tensor_parallel_size"] = settings.tensor_parallel
        results["config"] = {
            "model": settings.model,
            "model_args": arguments | ({"peft": str(subject.directory)} if subject else {}),
            **(lm.get_model_info() if hasattr(lm, "get_model_info") else {}),
            "model_sha": self.files.base.fingerprint,
            "batch_size": settings.batch_size,
            "device": settings.device,
            "use_cache": None if settings.use_cache is None else str(settings.use_cache),
            "limit": settings.limit,
            **({"peft_sha": subject.sha256} if subject else {}),
        }
        results["date"] = started
        results.update(self._environment)
        add_tokenizer_info(results, lm)


def _load(settings: EvaluationSettings, files: BaseFiles, adapters: Sequence[StoredAdapter]) -> Adapted:
    if settings.model == "vllm":
        from ia2_eval.adapters.vllm_adapters import VLLMAdapters

        return VLLMAdapters(files, adapters, settings.batch_size, settings.tensor_parallel).adapted
    from ia2_eval.adapters.hf_adapters import HFAdapters

    return HFAdapters(files, settings.device, settings.batch_size, settings.paper).adapted


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _members(group: Any) -> set[str]:
    """Tasks of lm-eval's group."""
    return {task.task_name for task in group.get_all_tasks()}


def _require_demonstrations(tasks: dict[str, Any], num_fewshot: int | None) -> None:
    """
    Raises:
        UserError: a task has fewer examples than demonstrations are asked for.
    """
    for name, task in tasks.items():
        shown = task.get_config("num_fewshot") or 0
        if num_fewshot is None or shown == 0:  # its own choice, or those of `paper`, which stand in the documents
            continue
        if shown > (available := len(task.fewshot_docs() or ())):
            raise UserError(
                f"--num-fewshot {num_fewshot}: the task {name!r} has {available} examples to take demonstrations from"
            )


def _git_hash() -> str | None:
    """As lm-eval's `get_git_commit_hash`, which lets git complain on the console."""
    from lm_eval.loggers.utils import get_commit_from_path

    try:
        command = ["git", "describe", "--always"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (subprocess.CalledProcessError, OSError):
        commit: str | None = get_commit_from_path(Path.cwd())
        return commit


def _name(subject: StoredAdapter | None) -> str:
    return BASE_NAME if subject is None else subject.name


def _seed() -> None:
    """The seeds of lm-eval's own command, for tasks that sample."""
    import numpy as np
    import torch
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    torch.manual_seed(DEFAULT_OTHER_SEED)
