"""Training the adapters of one cell together, against training them one after another with `adapt`.

The cell is SST-2 with N=8 as in arXiv 2509.22621: 3 learning rates x 5 seeds, strict protocol with fewer epochs. The
teacher's targets are collected beforehand and shared by both sides, which are timed in turn.

    python bench/many_adapters.py --data-dir ../shared/data
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import models
import timing
import torch
from ia2_training import Job, TeacherTargets, TrainingConfig, adapt, adapt_together
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.benchmarks.load import data_directory
from ia2_eval.experiments.adapt_cell import training_examples

LEARNING_RATES = (1e-4, 3e-4, 1e-3)
N = 8


def cell(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, benchmark: str, options: argparse.Namespace
) -> list[Job]:
    """A job for each seed and learning rate, with the teacher's targets."""
    jobs = []
    for seed in range(options.seeds):
        training_set = draw_training_set(load_benchmark(benchmark, options.data_dir), N, seed)
        train, dev = training_examples(training_set, "strict")
        targets = TeacherTargets.collect(model, tokenizer, train, dev)
        for rate in LEARNING_RATES:
            config = TrainingConfig.strict(rate, epochs=options.epochs, seed=seed)
            jobs.append(Job(train, dev, config, targets))
    return jobs


def together(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, jobs: list[Job], method: str) -> list[float]:
    """Dev losses of the trained adapters."""
    trained = adapt_together(model, tokenizer, jobs, method=method, progress=lambda _: None)
    return [adapter.history[-1].dev_loss or 0.0 for adapter in trained]


def one_by_one(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, jobs: list[Job], method: str) -> list[float]:
    """Dev losses of the trained adapters."""
    losses = []
    for job in jobs:
        adapted = adapt(
            model,
            tokenizer,
            job.train,
            job.dev,
            method=method,
            config=job.config,
            targets=job.targets,
            progress=lambda _: None,
        )
        losses.append(adapted.history[-1].dev_loss or 0.0)
        adapted.detach()
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="local data with SST-2; without it, an embedded benchmark")
    parser.add_argument("--models", nargs="+", default=["embedded", "qwen3_8x256"], choices=models.NAMES)
    parser.add_argument("--method", default="ia2")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="the ratio is that of 50, which take 5 times as long")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="CPU threads of torch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    benchmark = "sst2" if data_directory(options.data_dir) else "embedded_time"
    for name in options.models:
        model, tokenizer = models.load(name, options.device, options.dtype)
        jobs = cell(model, tokenizer, benchmark, options)
        lengths = [len(tokenizer(example.prompt)["input_ids"]) for job in jobs for example in job.train]
        print(
            f"{benchmark} N={N}, {name}, {options.method}, {len(jobs)} adapters, {options.epochs} epochs, prompts of "
            f"{min(lengths)} to {max(lengths)} tokens, {sum(lengths) / len(lengths):.0f} on average"
        )
        alone = one_by_one(model, tokenizer, jobs[:1], options.method)
        print(f"one adapter alone: {timing.peak_memory()}")
        losses = together(model, tokenizer, jobs, options.method)
        print(
            f"{len(jobs)} adapters together: {timing.peak_memory()}; dev loss of the first {losses[0]:.6f} together, "
            f"{alone[0]:.6f} alone"
        )
        for threads in options.threads:
            torch.set_num_threads(threads)
            ways = [partial(way, model, tokenizer, jobs, options.method) for way in (together, one_by_one)]
            print(
                timing.machine(),
                timing.compare("together", ways[0], "one after another", ways[1], options.repeats),
                sep=": ",
                flush=True,
            )


if __name__ == "__main__":
    main()
