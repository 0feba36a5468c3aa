"""Adapting a base model: the one call that runs a method from examples to a saved adapter."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .adapters import Adapter, LoraAdapter, attach, detach, require_no_adapter
from .batches import TokenSequence, encode_answer, encode_prompt
from .config import TrainingConfig
from .examples import TrainingExample
from .losses import Loss
from .methods import METHODS
from .progress import Check, display
from .targets import Targets, TeacherTargets
from .train import PhaseData, PhaseHistory, train_phase

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Adapted:
    """A base model with its trained adapter."""

    model: PeftModel
    history: tuple[PhaseHistory, ...]
    """One entry for each phase that was trained here."""

    def save(self, directory: Path | str) -> None:
        """Write the adapter in PEFT's own format, for `PeftModel.from_pretrained` or lm-eval's `peft=DIRECTORY`.

        Every file appears whole, and the configuration last: a directory that has it is complete.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".partial-") as partial:
            self.model.save_pretrained(partial, save_embedding_layers=False)
            (Path(partial) / "README.md").unlink(missing_ok=True)  # PEFT's model card is a form that nobody filled in
            files = sorted(Path(partial).iterdir(), key=lambda file: file.name == "adapter_config.json")
            for file in files:
                file.replace(directory / file.name)

    def detach(self) -> PreTrainedModel:
        """Remove the adapter and give the base model back, its weights untouched."""
        return detach(self.model)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[TrainingExample],
    dev: Sequence[TrainingExample] = (),
    *,
    method: str = "ia2_sft",
    adapter: Adapter = LoraAdapter(),  # noqa: B008 - immutable
    config: TrainingConfig = TrainingConfig(),  # noqa: B008 - immutable
    targets: TeacherTargets | None = None,
    initial_adapter: Path | str | None = None,
    progress: Callable[[Check], None] | None = None,
) -> Adapted:
    """Train an adapter on a few examples.

    Args:
        model: the base model, on the device and in the dtype to train with. It is changed in place (adapter attached,
            parameters frozen, eval mode) until `Adapted.detach`; its weights are not. If training fails, the adapter
            is taken off.
        tokenizer: its tokenizer.
        train: examples to train on; their demonstrations are what the teacher sees.
        dev: examples that decide when to stop and which weights to keep. Without them a phase spends its whole budget
            and keeps the last weights.
        method: a name in `METHODS`.
        adapter: the kind of adapter.
        config: how to train.
        targets: what the teacher gave for `train` and `dev`, if collected before; otherwise it is collected here when
            the method needs it.
        initial_adapter: a saved adapter to start from. It stands for all phases but the last, so that `ia2_sft` can
            start from the `ia2` adapter of the same configuration, with the same result as training both phases.
        progress: called at every dev check; None shows a progress bar, or log lines where there is no terminal.

    Raises:
        ValueError: an unknown method, no training examples, targets of other examples, or anything that `attach`,
            `collect_targets` or tokenisation refuses.
    """
    phases = _phases(method)
    if initial_adapter is not None:
        phases = phases[-1:]
    if not train:
        raise ValueError("There are no training examples.")
    require_no_adapter(model)
    if targets is None and any(loss.response == "teacher" for loss in phases):
        targets = TeacherTargets.collect(
            model,
            tokenizer,
            train,
            dev,
            max_new_tokens=config.max_new_tokens,
            answer_end=config.answer_end,
            batch_size=config.target_batch_size,
            directory=config.target_directory,
        )
    train_targets, dev_targets = (targets.train, targets.dev) if targets else ((), ())
    data = [
        (
            loss,
            _phase_data(loss, tokenizer, train, train_targets, config),
            _phase_data(loss, tokenizer, dev, dev_targets, config),
        )
        for loss in phases
    ]
    adapted = attach(
        model, adapter, seed=config.seed, initial_adapter=None if initial_adapter is None else Path(initial_adapter)
    )
    try:
        with display() if progress is None else nullcontext(progress) as report:
            history = [train_phase(adapted, *phase, config, report) for phase in data]
    except BaseException:
        detach(adapted)
        raise
    return Adapted(adapted, tuple(history))


def _phases(method: str) -> tuple[Loss, ...]:
    if method not in METHODS:
        near = difflib.get_close_matches(method, METHODS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(METHODS)}."
        raise ValueError(f"There is no method {method!r}. {hint}")
    return METHODS[method]


def _phase_data(
    loss: Loss,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[TrainingExample],
    targets: tuple[Targets, ...],
    config: TrainingConfig,
) -> PhaseData:
    """Prompts without demonstrations, followed by the response that the loss trains on."""
    prompts = [encode_prompt(tokenizer, example.prompt) for example in examples]
    if loss.response == "ground_truth":
        answers = [encode_answer(tokenizer, example.answer, config.max_new_tokens) for example in examples]
        return PhaseData(tuple(map(TokenSequence, prompts, answers)))
    if len(targets) != len(examples):
        raise ValueError(f"Targets and examples must match: {len(targets)} targets, {len(examples)} examples.")
    return PhaseData(tuple(TokenSequence(p, t.response_ids) for p, t in zip(prompts, targets, strict=True)), targets)
