"""What a model says about the development examples of a training set, to fit a temperature to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ia2_eval.benchmarks import BenchmarkData, draw_training_set, with_demonstrations
from ia2_eval.experiments.cell import Cell
from ia2_eval.scoring.samples import LabelSample, label_sample

if TYPE_CHECKING:
    from ia2_eval.lm.ia2_hf import IA2HF


def dev_samples(cell: Cell, source: BenchmarkData, lm: IA2HF) -> list[LabelSample]:
    """One row for each development example of D_T, read as the cell's model reads its queries.

    In-context learning is shown D_T under `strict`, under `paper` the N - 1 examples that the published code pairs with
    the development example; adapted models are shown nothing. A temperature is a single number, so the one that is
    fitted to these rows serves the cell's other benchmarks too, whatever their labels are.

    Args:
        cell: one with a training set, of a single-token source.
        source: data of its source.
        lm: the base, with the adapter of the cell if it has one.
    """
    from lm_eval.api.instance import Instance

    labels = source.benchmark.labels
    assert cell.n and cell.seed is not None and labels
    training_set = draw_training_set(source, cell.n, cell.seed)
    shown = [
        training_set.dev_demonstrations(j, cell.protocol) if cell.method == "icl" else ()
        for j in range(len(training_set.dev))
    ]
    prompts = [with_demonstrations(*pair) for pair in zip(shown, (e.prompt for e in training_set.dev), strict=True)]
    requests = [
        Instance("loglikelihood", {"prompt": prompt, "choices": labels}, (prompt, label), idx=i)
        for prompt in prompts
        for i, label in enumerate(labels)
    ]
    answers = lm.loglikelihood(requests, disable_tqdm=True)
    return [
        label_sample(prompt, answers[j * len(labels) : (j + 1) * len(labels)], labels, labels.index(example.answer))
        for j, (prompt, example) in enumerate(zip(prompts, training_set.dev, strict=True))
    ]
