"""Adapting a base model: the one call that runs a method from examples to a saved adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .adapters import Adapter, LoraAdapter
from .attach import attach, detach, require_no_adapter, save_adapter
from .batches import TokenSequence, encode_answer, encode_prompt
from .checkpointing import checkpointed
from .config import TrainingConfig
from .examples import TrainingExample
from .losses import Loss
from .methods import Method
from .phases import Phase, PhaseData
from .progress import Check, display
from .targets import Targets, TeacherTargets
from .train import PhaseHistory, train_phase

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Adapted:
    """A base model with its trained adapter."""

    model: PreTrainedModel | PeftModel
    """The base wrapped by PEFT; under full fine-tuning the model itself."""
    history: tuple[PhaseHistory, ...]
    """One entry for each phase that was trained here."""

    def save(self, directory: Path | str) -> None:
        """Write the adapter for `PeftModel.from_pretrained` (see `save_adapter`)."""
        save_adapter(self.model, directory)

    def detach(self) -> PreTrainedModel:
        """Remove the adapter and give the base model back, its weights as they were."""
        return detach(self.model)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[TrainingExample],
    dev: Sequence[TrainingExample] = (),
    *,
    method: Method | str = "ia2_sft",
    adapter: Adapter = LoraAdapter(),
    config: TrainingConfig = TrainingConfig(),
    targets: TeacherTargets | None = None,
    unlabelled: Sequence[TrainingExample] = (),
    initial_adapter: Path | str | None = None,
    progress: Callable[[Check], None] | None = None,
) -> Adapted:
    """Train an adapter on a few examples.

    Args:
        model: the base model, on the device and in the dtype to train with. It is changed in place (adapter attached,
            parameters frozen, eval mode) until `Adapted.detach`, which leaves its weights as they were. If training
            fails, the adapter is taken off.
        tokenizer: its tokenizer.
        train: examples to train on; their demonstrations are what the teacher sees.
        dev: examples that decide when to stop and which weights to keep. Without them a phase spends its whole budget
            and keeps the last weights.
        method: what to minimise; a name stands for the method with its default choices.
        adapter: the kind of adapter.
        config: how to train.
        targets: what the teacher gave for `unlabelled or train` and for `dev`, if collected before; otherwise it is
            collected here when the method needs it.
        unlabelled: queries that phases on the teacher's output train on instead of `train`, their demonstrations being
            what the teacher sees; their answers are never read. Phases on ground truth train on `train`.
        initial_adapter: a saved adapter to start from. It stands for all phases but the last, so that `ia2_sft` can
            start from the `ia2` adapter of the same configuration, with the same result as training both phases.
        progress: called at every dev check; None shows a progress bar, or log lines where there is no terminal.

    Raises:
        ValueError: an unknown method, no training examples, a combination that makes no sense, targets of other
            examples, or anything that `attach`, `collect_targets` or tokenisation refuses.
    """
    method = Method(method) if isinstance(method, str) else method
    require_no_adapter(model)
    last_only = 1 if initial_adapter is not None else None
    phases = prepare(model, tokenizer, train, dev, method, config, targets, unlabelled, last_only)
    adapted = attach(
        model, adapter, seed=config.seed, initial_adapter=None if initial_adapter is None else Path(initial_adapter)
    )
    try:
        with (
            display() if progress is None else nullcontext(progress) as report,
            checkpointed(adapted) if config.gradient_checkpointing else nullcontext(),
        ):
            history = [train_phase(adapted, phase, config, report) for phase in phases]
    except BaseException:
        detach(adapted)
        raise
    return Adapted(adapted, tuple(history))


def prepare(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[TrainingExample],
    dev: Sequence[TrainingExample],
    method: Method,
    config: TrainingConfig,
    targets: TeacherTargets | None = None,
    unlabelled: Sequence[TrainingExample] = (),
    phases: int | None = None,
) -> list[Phase]:
    """The data of the phases of a method; the teacher is asked where its answers are needed and not given.

    Args:
        model: the base model, without an adapter.
        tokenizer: its tokenizer.
        train: examples with ground truth.
        dev: examples to watch on.
        method: what to minimise.
        config: how to train.
        targets: what the teacher gave for `unlabelled or train` (all orders of the demonstrations, one after the
            other) and for `dev`.
        unlabelled: queries for the phases on the teacher's output.
        phases: number of phases, counted from the last; None: all.

    Raises:
        ValueError: no examples, a combination that makes no sense, or targets of other examples.
    """
    losses = method.phases if phases is None else method.phases[-phases:]
    _require_sense(method, config, train, unlabelled, losses)
    taught = unlabelled or train
    if targets is None and any(loss.response == "teacher" for loss in losses):
        targets = TeacherTargets.for_method(model, tokenizer, taught, dev, config, method)
    targets = targets and targets.to(model.device)

    def from_teacher(examples: Sequence[TrainingExample], responses: Sequence[Targets]) -> PhaseData:
        prompts = [encode_prompt(tokenizer, example.prompt) for example in examples]
        sequences = [TokenSequence(p, r.response_ids) for p, r in zip(prompts, responses, strict=True)]
        return PhaseData(tuple(sequences), tuple(responses))

    def from_answers(examples: Sequence[TrainingExample]) -> PhaseData:
        return PhaseData(
            tuple(
                TokenSequence(
                    encode_prompt(tokenizer, example.prompt),
                    encode_answer(tokenizer, example.answer, config.max_new_tokens),
                )
                for example in examples
            )
        )

    def data(loss: Loss) -> Phase:
        if loss.response == "ground_truth":
            return Phase(loss, (from_answers(train),), from_answers(dev))
        assert targets is not None
        orders = _orders(targets.train, len(taught), config.demonstration_orders)
        if len(targets.dev) != len(dev):
            raise ValueError(f"Targets and dev examples must match: {len(targets.dev)} targets, {len(dev)} examples.")
        return Phase(loss, tuple(from_teacher(taught, order) for order in orders), from_teacher(dev, targets.dev))

    return [data(loss) for loss in losses]


def _require_sense(
    method: Method,
    config: TrainingConfig,
    train: Sequence[TrainingExample],
    unlabelled: Sequence[TrainingExample],
    losses: Sequence[Loss],
) -> None:
    if not method.asks_teacher and unlabelled:
        raise ValueError(
            f"{method.name} learns from ground truth only: it has no use for {len(unlabelled)} unlabelled queries. "
            "Take a method that learns from the teacher's outputs, for example ia2, or labels = 'icl_outputs'."
        )
    if not method.asks_teacher and config.demonstration_orders > 1:
        raise ValueError(
            f"demonstration_orders = {config.demonstration_orders}: {method.name} learns from ground truth only, in "
            "which the order of demonstrations plays no part. Leave it at 1."
        )
    on_answers = any(loss.response == "ground_truth" for loss in losses)
    if (on_answers and not train) or not (unlabelled or train):
        raise ValueError("There are no training examples.")


def _orders(targets: Sequence[Targets], examples: int, orders: int) -> list[Sequence[Targets]]:
    """The targets of each order of the demonstrations."""
    if len(targets) != examples * orders:
        of_orders = f" in {orders} orders of their demonstrations" if orders > 1 else ""
        raise ValueError(f"Targets and examples must match: {len(targets)} targets, {examples} examples{of_orders}.")
    return [targets[examples * order : examples * (order + 1)] for order in range(orders)]
