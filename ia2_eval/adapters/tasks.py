"""lm-eval's tasks, loaded once for all adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.scoring.answers import PAPER_STOP
from ia2_eval.shipped import TASKS_DIRECTORY

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

    from ia2_eval.adapters.settings import EvaluationSettings


def load_tasks(settings: EvaluationSettings) -> dict[str, Any]:
    """lm-eval's `TaskDict` of the tasks that were named, with the demonstrations that were asked for.

    Raises:
        UserError: there is no such task, two names hold the same task, or its data cannot be used.
    """
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    manager = _manager(settings)
    try:
        loaded: dict[str, Any] = manager.load(manager.match_tasks(list(settings.tasks)))
    except (ValueError, KeyError) as error:
        raise UserError(f"the tasks {','.join(settings.tasks)} cannot be loaded: {error}") from error
    for task in loaded["tasks"].values():
        # As lm-eval's own command does it; the demonstrations of the published protocol stand in the documents.
        shown = None if settings.paper else settings.num_fewshot
        own = task.get_config("num_fewshot")
        task.set_config(key="num_fewshot", value=own or 0 if shown is None or own == 0 else shown)
        task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
        if settings.paper and task.get_config("output_type") == "generate_until":
            task.set_config(key="generation_kwargs", value={"until": [PAPER_STOP]}, update=True)
    return loaded


def _manager(settings: EvaluationSettings) -> TaskManager:
    """Over this package's tasks, and over lm-eval's too, which takes seconds, where others are asked for."""
    from lm_eval.tasks import TaskManager

    metadata: dict[str, Any] = {"ia2_seed": settings.seed, "ia2_protocol": settings.protocol}
    if settings.data_dir:
        metadata["ia2_data_dir"] = str(settings.data_dir)
    if settings.paper and settings.num_fewshot:
        metadata["ia2_n"] = settings.num_fewshot
    own = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata=metadata)
    others = [name for name in settings.tasks if not own.match_tasks([name])]
    for name in others:
        if name.startswith("ia2"):
            raise UserError(f"there is no task {name!r}.{did_you_mean(name, own.all_tasks)}")
        if settings.paper:
            raise UserError(f"--protocol paper is for the tasks of this package, and {name!r} is none of them")
    if not others:
        return own
    everything = TaskManager(include_path=str(TASKS_DIRECTORY), metadata=metadata)
    for name in others:
        if not everything.match_tasks([name]):
            near = did_you_mean(name, everything.all_tasks)
            raise UserError(f"there is no task {name!r}.{near if 'Did you mean' in near else ''}")
    return everything
