"""The benchmarks as lm-eval's task objects, from `tasks/*.yaml`; lm-eval's own tasks too.

It stands beside `lm_eval_dataset`, whose arguments it gives: recipes and `ia2-eval evaluate` ask the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ia2_eval.benchmarks.load import joint_fingerprint, load_benchmark
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.shipped import TASKS_DIRECTORY

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager


def load_tasks(
    names: Sequence[str],
    protocol: str = "strict",
    num_fewshot: int | None = None,
    seed: int = 0,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """lm-eval's `TaskDict` of tasks with their demonstrations.

    Args:
        names: of tasks, groups and tags, this package's and lm-eval's; patterns too.
        protocol: `strict`, or `paper` for this package's tasks.
        num_fewshot: demonstrations; None for the tasks' own choice. A task that says 0 has none.
        seed: of the demonstrations of this package's tasks.
        data_dir: local data; None for `IA2_DATA_DIR`, else the hub.

    Raises:
        UserError: there is no such task, two names hold the same task, or its data cannot be used.
    """
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    metadata: dict[str, Any] = {"ia2_seed": seed, "ia2_protocol": protocol}
    if data_dir:
        metadata["ia2_data_dir"] = str(data_dir)
    shown = num_fewshot
    if protocol == "paper":  # its demonstrations differ from query to query and stand in the documents
        shown = None
        metadata |= {"ia2_n": num_fewshot} if num_fewshot else {}
    manager = _manager(names, protocol, metadata)
    try:
        loaded: dict[str, Any] = manager.load(manager.match_tasks(list(names)))
    except (ValueError, KeyError) as error:
        raise UserError(f"the tasks {','.join(names)} cannot be loaded: {error}") from error
    for task in loaded["tasks"].values():  # as lm-eval's own command does it
        own = task.get_config("num_fewshot")
        task.set_config(key="num_fewshot", value=own or 0 if shown is None or own == 0 else shown)
        task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    return loaded


def data_fingerprint(task: Any, data_dir: Path | None = None) -> str | None:
    """sha256 of the examples that a task of this package is made of; None for a task of lm-eval's own."""
    metadata = task.get_config("metadata") or {}
    if "ia2_eval" not in metadata:
        return None
    names = dict.fromkeys((metadata.get("ia2_source") or metadata["ia2_eval"], metadata["ia2_eval"]))
    return joint_fingerprint(load_benchmark(name, data_dir) for name in names)


def _manager(names: Sequence[str], protocol: str, metadata: dict[str, Any]) -> TaskManager:
    """Over this package's tasks, and over lm-eval's too, which takes seconds, where others are asked for."""
    from lm_eval.tasks import TaskManager

    own = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata=metadata)
    others = [name for name in names if not own.match_tasks([name])]
    for name in others:
        if name.startswith("ia2"):
            raise UserError(f"there is no task {name!r}.{did_you_mean(name, own.all_tasks)}")
        if protocol == "paper":
            raise UserError(f"--protocol paper is for the tasks of this package, and {name!r} is none of them")
    if not others:
        return own
    everything = TaskManager(include_path=str(TASKS_DIRECTORY), metadata=metadata)
    for name in others:
        if not everything.match_tasks([name]):
            near = did_you_mean(name, everything.all_tasks)
            raise UserError(f"there is no task {name!r}.{near if 'Did you mean' in near else ''}")
    return everything
