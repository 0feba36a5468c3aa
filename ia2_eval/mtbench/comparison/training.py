"""Trains the adapter of an arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_eval.adapters.stored import CONFIGURATION
from ia2_eval.experiments.adapter_specs import Ia3, Lora, Prefix, Prompt
from ia2_eval.mtbench.comparison.arms import Arm
from ia2_eval.mtbench.comparison.examples import Examples
from ia2_eval.mtbench.comparison.formats import ANSWER_END, answer_end, dev_examples, training_examples
from ia2_eval.mtbench.comparison.recipe import Training
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import Demonstration

if TYPE_CHECKING:
    from ia2_training import Adapter, TrainingConfig


class AdapterTrainer:
    """Trains the adapters of a comparison on one loaded model, each once."""

    def __init__(
        self, model: OpenModel, training: Training, examples: Examples, instruction: str, directory: Path
    ) -> None:
        """
        Args:
            model: without an adapter, which it is again after each training.
            training: how adapters are trained.
            examples: for the dev examples.
            instruction: that the teacher reads.
            directory: of the run; adapters are in `adapters/<model id>`.
        """
        self.model, self.training, self.examples, self.instruction = model, training, examples, instruction
        self.directory = directory

    def path(self, arm: Arm) -> Path:
        return self.directory / "adapters" / arm.model_id

    def trained(self, arm: Arm) -> bool:
        """Whether its adapter is there; the configuration is written last."""
        return (self.path(arm) / CONFIGURATION).is_file()

    def train(self, arm: Arm, drawn: Sequence[Demonstration]) -> Path:
        """The adapter of an arm, trained unless it is there.

        A method that continues another one, as `ia2_sft` continues `ia2`, starts from that arm's adapter if it is
        there: the result is the same as training all phases.

        Raises:
            ValueError: as `ia2_training.adapt` does.
        """
        from ia2_training import Method, adapt

        assert arm.seed is not None
        if self.trained(arm):
            return self.path(arm)
        before = Method(arm.method).before_last_phase
        earlier = Arm(before.name, arm.n, arm.seed) if before else None
        base, tokenizer = self.model.transformer
        adapted = adapt(
            base,
            tokenizer,
            training_examples(drawn, self.instruction),
            dev_examples(self.examples.dev, drawn, self.instruction),
            method=arm.method,
            adapter=_adapter(self.training),
            config=training_config(self.training, arm.seed),
            initial_adapter=self.path(earlier) if earlier and self.trained(earlier) else None,
        )
        try:
            adapted.save(self.path(arm))
        finally:
            adapted.detach()
        return self.path(arm)


def training_config(training: Training, seed: int) -> TrainingConfig:
    """How `ia2_training` trains: the best weights on the dev examples, or without any the last ones."""
    from ia2_training import TrainingConfig

    return TrainingConfig.strict(
        training.learning_rate,
        training.target_tokens,
        epochs=training.epochs,
        batch_size=training.batch_size,
        micro_batch_size=training.micro_batch_size,
        gradient_checkpointing=training.gradient_checkpointing,
        seed=seed,
        answer_end=answer_end,
        answer_end_name=ANSWER_END,
    )


def _adapter(training: Training) -> Adapter:
    from ia2_training import Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter

    match training.adapter:
        case Lora(r=r, alpha=alpha, modules=modules):
            return LoraAdapter(r, alpha, modules)
        case Ia3(modules=modules):
            return Ia3Adapter(modules)
        case Prompt(virtual_tokens=count):
            return PromptAdapter(count)
        case Prefix(virtual_tokens=count):
            return PrefixAdapter(count)
    raise ValueError(f"{training.adapter.type} leaves no adapter")
