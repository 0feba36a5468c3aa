"""Training many LoRA adapters of one base model in one pass."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import PeftConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from .adapt import prepare
from .adapters import LoraAdapter
from .attach import attach, detach, require_no_adapter, sort_module_names
from .checkpointing import checkpointed
from .config import TrainingConfig
from .course import PhaseHistory
from .examples import TrainingExample
from .grouped_lora import GroupedLora
from .methods import Method
from .phases import Phase
from .progress import Check, display
from .targets import TeacherTargets
from .train_together import train_phase_together

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAY_DIFFER = {"learning_rate", "seed"}
"""Settings in which the jobs of one pass may differ."""


@dataclass(frozen=True)
class Job:
    """One adapter to train, the arguments being those of `adapt`."""

    train: Sequence[TrainingExample]
    dev: Sequence[TrainingExample] = ()
    config: TrainingConfig = TrainingConfig()
    targets: TeacherTargets | None = None
    unlabelled: Sequence[TrainingExample] = ()
    initial_adapter: Path | None = None


@dataclass(frozen=True)
class TrainedLora:
    """A trained LoRA adapter, apart from its base."""

    history: tuple[PhaseHistory, ...]
    """One entry for each phase that was trained here."""
    weights: dict[str, Tensor] = field(repr=False)
    """A and B of every module by PEFT's names, on the CPU."""
    peft_config: PeftConfig = field(repr=False)

    def save(self, directory: Path | str) -> None:
        """Write the adapter in PEFT's own format: the same files as `Adapted.save`, the configuration last."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".partial-") as partial:
            save_file(self.weights, Path(partial) / "adapter_model.safetensors", metadata={"format": "pt"})
            self.peft_config.save_pretrained(partial)
            sort_module_names(Path(partial))
            for name in ("adapter_model.safetensors", "adapter_config.json"):
                (Path(partial) / name).replace(directory / name)


def adapt_together(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    jobs: Sequence[Job],
    *,
    method: Method | str = "ia2_sft",
    adapter: LoraAdapter = LoraAdapter(),
    progress: Callable[[Check], None] | None = None,
) -> list[TrainedLora]:
    """Train adapters of one base together: each as `adapt` trains it alone, up to rounding.

    One forward and one backward pass through the frozen weights serve all adapters that are still being trained. Each
    has data, order of examples, learning rate, optimiser state, dev loss, best weights and patience of its own, and
    leaves the pass when it is done; the next phase begins when all are. The activations of the batches of all adapters
    are in memory at once, unless `TrainingConfig.micro_batch_size` bounds the examples of one forward pass.

    Args:
        model: the base model, on the device and in the dtype to train with. Afterwards, and after a failure, it is as
            it was, but frozen and in eval mode.
        tokenizer: its tokenizer.
        jobs: what to train. They may differ in data, learning rate, seed and initial adapter. The teacher is asked once
            for all jobs that have the same examples and no targets.
        method: what to minimise.
        adapter: the kind of adapter.
        progress: called when adapters have been checked; None shows a progress bar, or log lines where there is no
            terminal.

    Returns:
        The trained adapters, in the order of the jobs.

    Raises:
        ValueError: no jobs, jobs that differ in something else, or anything that `adapt` refuses.
    """
    method = Method(method) if isinstance(method, str) else method
    if not isinstance(adapter, LoraAdapter):
        raise ValueError(f"Only LoRA adapters are trained together, not {type(adapter).__name__}: call adapt for each.")
    _require_alike(jobs)
    require_no_adapter(model)
    plans = _prepared(model, tokenizer, jobs, method)
    peft_config, starts = _starts(model, adapter, jobs)
    configs = [job.config for job in jobs]
    lora = GroupedLora(starts, scaling=adapter.alpha / adapter.r, device=model.device)
    with (
        display() if progress is None else nullcontext(progress) as report,
        checkpointed(model) if configs[0].gradient_checkpointing else nullcontext(),
        lora.on(model),
    ):
        phases = zip(*plans, strict=True)  # the first phase of every job, then the second one
        histories = [train_phase_together(model, lora, phase, configs, report) for phase in phases]
    weights = [
        {name: weight.clone(memory_format=torch.contiguous_format) for name, weight in lora.weights_of(row).items()}
        for row in lora.weights.detach().cpu()
    ]
    return [
        TrainedLora(history, trained, peft_config)
        for history, trained in zip(zip(*histories, strict=True), weights, strict=True)
    ]


def _require_alike(jobs: Sequence[Job]) -> None:
    if not jobs:
        raise ValueError("There are no jobs to train.")
    first = jobs[0]
    for number, job in enumerate(jobs):
        for setting in dataclasses.fields(TrainingConfig):
            value, expected = getattr(job.config, setting.name), getattr(first.config, setting.name)
            if setting.name not in MAY_DIFFER and value != expected:
                raise ValueError(
                    f"Job {number} has {setting.name} = {value!r}, job 0 has {expected!r}: jobs that are trained "
                    f"together may differ in {' and '.join(sorted(MAY_DIFFER))} only. Train them one after another."
                )
        if (job.initial_adapter is None) != (first.initial_adapter is None):
            raise ValueError(
                f"Jobs 0 and {number}: only one of them has an initial adapter, which stands for all phases but the "
                "last. Train those with and those without in separate calls."
            )


def _prepared(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, jobs: Sequence[Job], method: Method
) -> list[list[Phase]]:
    """The phases of each job."""
    last_only = 1 if jobs[0].initial_adapter is not None else None
    losses = method.phases if last_only is None else method.phases[-1:]
    collected: dict[object, TeacherTargets] = {}
    on_device: dict[int, TeacherTargets] = {}
    prepared = []
    for job in jobs:
        taught, config, targets = job.unlabelled or job.train, job.config, job.targets
        if targets is None and any(loss.response == "teacher" for loss in losses):
            # Of the settings that may differ, the orders of demonstrations depend on the seed.
            key = (tuple(taught), tuple(job.dev), config.seed if config.demonstration_orders > 1 else None)
            if key not in collected:
                collected[key] = TeacherTargets.for_method(model, tokenizer, taught, job.dev, config, method)
            targets = collected[key]
        if targets is not None:  # jobs that share them share one copy on the device too
            if id(targets) not in on_device:
                on_device[id(targets)] = targets.to(model.device)
            targets = on_device[id(targets)]
        prepared.append(
            prepare(model, tokenizer, job.train, job.dev, method, config, targets, job.unlabelled, last_only)
        )
    return prepared


def _starts(
    model: PreTrainedModel, adapter: LoraAdapter, jobs: Sequence[Job]
) -> tuple[PeftConfig, list[dict[str, Tensor]]]:
    """PEFT's configuration of the adapters, and the weights that each starts from: those that `attach` gives."""
    starts: dict[object, dict[str, Tensor]] = {}
    keys = [job.initial_adapter or job.config.seed for job in jobs]
    for key, job in zip(keys, jobs, strict=True):
        if key in starts:
            continue
        initial = None if job.initial_adapter is None else Path(job.initial_adapter)
        adapted = attach(model, adapter, seed=job.config.seed, initial_adapter=initial)
        try:
            peft_config = copy.deepcopy(adapted.peft_config["default"])
            peft_config.inference_mode = True  # as PEFT saves it
            weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
            # The layers of a large model may be spread over several devices.
            starts[key] = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        finally:
            detach(adapted)
    return peft_config, [starts[key] for key in keys]
