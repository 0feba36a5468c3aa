"""From a cell to what `ia2_training` is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ia2_eval.benchmarks import BenchmarkData, TrainingSet, draw_low_data, get_benchmark
from ia2_eval.experiments.adapter_specs import Full, Ia3, Lora, Prefix, Prompt
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.settings import Settings
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import response_end

if TYPE_CHECKING:
    from ia2_training import Adapter, TrainingConfig, TrainingExample


def training_examples(
    training_set: TrainingSet, protocol: Protocol
) -> tuple[list[TrainingExample], list[TrainingExample]]:
    """D_T and its dev set, each example with the demonstrations that the teacher is shown for it."""
    from ia2_training import TrainingExample

    train = [
        TrainingExample(e.prompt, e.answer, tuple(d.text for d in training_set.train_demonstrations(i)))
        for i, e in enumerate(training_set.train)
    ]
    dev = [
        TrainingExample(e.prompt, e.answer, tuple(d.text for d in training_set.dev_demonstrations(j, protocol)))
        for j, e in enumerate(training_set.dev)
    ]
    return train, dev


def unlabelled_examples(cell: Cell, data: BenchmarkData, training_set: TrainingSet) -> list[TrainingExample]:
    """The queries of low-data mode, without their answers; none in other cells."""
    from ia2_training import TrainingExample

    if cell.low_data is None:
        return []
    queries = draw_low_data(data, training_set, cell.low_data.unlabelled, cell.low_data.orders)
    return [TrainingExample(q.prompt, "", tuple(shown.text for shown in q.demonstrations)) for q in queries]


def training_config(cell: Cell, settings: Settings = Settings()) -> TrainingConfig:  # noqa: B008 - immutable
    """How `ia2_training` trains the adapter of a cell."""
    from ia2_training import TrainingConfig

    assert cell.learning_rate and cell.epochs and cell.batch_size and cell.target_tokens and cell.seed is not None
    answer_format = get_benchmark(cell.source).answer_format
    answer_end = response_end(answer_format, cell.protocol)
    preset = TrainingConfig.paper if cell.protocol == "paper" else TrainingConfig.strict
    return preset(
        cell.learning_rate,
        cell.target_tokens,
        epochs=cell.epochs,
        batch_size=cell.batch_size,
        micro_batch_size=settings.micro_batch_size,
        gradient_checkpointing=settings.gradient_checkpointing,
        demonstration_orders=cell.demonstration_orders or 1,
        seed=cell.seed,
        answer_end=answer_end,
        answer_end_name=f"{answer_format}, cell version {cell.version}" if answer_end else None,
    )


def adapter_of(cell: Cell) -> Adapter:
    """What a cell trains. (IA)³ scales outputs, under `paper` inputs, as the published code does."""
    from ia2_training import FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter

    match cell.adapter:
        case Lora(r=r, alpha=alpha, modules=modules):
            return LoraAdapter(r, alpha, modules)
        case Ia3(modules=modules):
            return Ia3Adapter(modules, scale="inputs" if cell.protocol == "paper" else "outputs")
        case Prompt(virtual_tokens=count):
            return PromptAdapter(count)
        case Prefix(virtual_tokens=count):
            return PrefixAdapter(count)
        case Full():
            return FullFineTuning()
    raise ValueError(f"{cell.method} trains nothing")
