"""What the experiments of arXiv 2509.22621 cost: one cell of each kind is trained, the rest is projected from it.

A cell is 15 adapters (3 learning rates x 5 seeds) trained by IA2 -> SFT on D_T(N, seed), teacher targets included:
SST-2 with N=8 for the tasks whose answer is one token, GSM8K with N=4 and T=200 for the others. Random weights in the
shape of Qwen3-0.6B or Qwen3-4B cost what trained ones cost.

    python bench/projection.py --data-dir ../shared/data --models qwen3_0.6b qwen3_4b
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import models
import timing
import torch
from ia2_training import (
    Job,
    LoraAdapter,
    Method,
    TeacherTargets,
    TrainingConfig,
    TrainingExample,
    adapt,
    adapt_together,
)
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.experiments.adapt_cell import training_examples

LEARNING_RATES = (1e-4, 3e-4, 1e-3)
PUBLISHED_ADAPTERS = 13_000
MULTI_TOKEN_SHARE = 17 / 65
"""Of the paper's 65 pairs of a training benchmark and N (its appendix A), 17 have answers of several tokens."""
PEAK_OPERATIONS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12}
"""Dense bfloat16 operations per second that the makers state, by a part of the GPU's name."""


@dataclass(frozen=True)
class Kind:
    """A kind of cell that the whole is projected from."""

    benchmark: str
    embedded: str  # stands in where there is no data
    n: int
    tokens: int
    share: float


KINDS = (
    Kind("sst2", "embedded_mood", 8, 1, 1 - MULTI_TOKEN_SHARE),
    Kind("gsm8k", "embedded_arithmetic", 4, 200, MULTI_TOKEN_SHARE),
)


@dataclass
class Cell:
    """The jobs of one cell, and what training them forwarded."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    jobs: list[Job]
    train_tokens: int = 0  # through the model, with gradients
    dev_tokens: int = 0

    def collect(self) -> None:
        """Collect the teacher's targets: once for each seed, for all of its learning rates."""
        for seed in {job.config.seed for job in self.jobs}:
            same = [place for place, job in enumerate(self.jobs) if job.config.seed == seed]
            job = self.jobs[same[0]]
            targets = TeacherTargets.collect(
                self.model, self.tokenizer, job.train, job.dev, max_new_tokens=job.config.max_new_tokens
            )
            for place in same:
                job = self.jobs[place]
                self.jobs[place] = Job(job.train, job.dev, job.config, targets)

    def train_together(self) -> None:
        trained = adapt_together(self.model, self.tokenizer, self.jobs, adapter=LoraAdapter(), progress=lambda _: None)
        phases = [(job, phase) for job, adapter in zip(self.jobs, trained, strict=True) for phase in adapter.history]
        for job, phase in phases:
            rows = phase.steps * min(job.config.batch_size, len(job.train))
            self.train_tokens += _tokens(self.tokenizer, job.train) * rows // len(job.train)
            self.dev_tokens += _tokens(self.tokenizer, job.dev) * len(phase.dev_losses)

    @property
    def operations(self) -> int:
        """2 for each weight and token forward, 2 more backward through frozen weights; adapters not counted."""
        weights = self.model.num_parameters() - self.model.get_input_embeddings().weight.numel()
        return weights * (4 * self.train_tokens + 2 * self.dev_tokens)

    def train_one(self, job: Job) -> None:
        adapt(
            self.model,
            self.tokenizer,
            job.train,
            job.dev,
            method=Method("ia2_sft"),
            config=job.config,
            targets=job.targets,
            progress=lambda _: None,
        ).detach()


def _tokens(tokenizer: PreTrainedTokenizerBase, examples: tuple[TrainingExample, ...]) -> int:
    return sum(len(tokenizer(example.prompt + example.answer)["input_ids"]) for example in examples)


def cell(kind: Kind, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, options: argparse.Namespace) -> Cell:
    data = load_benchmark(kind.benchmark if options.data_dir else kind.embedded, options.data_dir)
    jobs = []
    for seed in range(options.seeds):
        train, dev = training_examples(draw_training_set(data, kind.n, seed), "strict")
        for rate in LEARNING_RATES:
            config = TrainingConfig.strict(
                rate,
                kind.tokens,
                seed=seed,
                epochs=options.epochs,
                micro_batch_size=options.micro_batch_size,
                gradient_checkpointing=options.gradient_checkpointing,
            )
            jobs.append(Job(tuple(train), tuple(dev), config))
    return Cell(model, tokenizer, jobs)


def measure(name: str, kind: Kind, work: Cell, alone: int) -> float:
    """Print what a cell takes; seconds of one of its adapters, targets included."""
    collecting = timing.seconds(work.collect)
    work.train_one(work.jobs[0])  # warms up
    together = timing.seconds(work.train_together)
    some = [timing.seconds(partial(work.train_one, job)) for job in work.jobs[:alone]]
    one_by_one = sum(some) / len(some) * len(work.jobs)
    tokens = work.train_tokens + work.dev_tokens
    print(
        f"{name}, {kind.benchmark} N={kind.n} T={kind.tokens}: {len(work.jobs)} adapters together {together:.1f} s, "
        f"{one_by_one / together:.1f} x faster than one after another ({one_by_one:.1f} s, from {alone} of them); "
        f"targets {collecting:.1f} s; {tokens / together:.0f} tokens/s{_utilisation(work.operations / together)}",
        flush=True,
    )
    return (collecting + together) / len(work.jobs)


def _utilisation(operations_per_second: float) -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((operations for part, operations in PEAK_OPERATIONS.items() if part in device), None)
    return "" if peak is None else f", {operations_per_second / peak:.1%} of the GPU's peak (model FLOP utilisation)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="local data with SST-2 and GSM8K; without, embedded benchmarks")
    parser.add_argument("--models", nargs="+", default=["qwen3_0.6b", "qwen3_4b"], choices=models.NAMES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--micro-batch-size", type=int, help="rows of one forward pass, for memory")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--alone", type=int, default=2, help="adapters trained one after another for the ratio")
    options = parser.parse_args()
    print(timing.machine())
    for name in options.models:
        model, tokenizer = models.load(name, options.device, options.dtype)
        seconds = sum(
            kind.share * measure(name, kind, cell(kind, model, tokenizer, options), options.alone) for kind in KINDS
        )
        print(
            f"{name}: {PUBLISHED_ADAPTERS} adapters in {seconds * PUBLISHED_ADAPTERS / 3600:.1f} hours, projected, "
            f"evaluation not included; {timing.peak_memory()}",
            flush=True,
        )
        del model


if __name__ == "__main__":
    main()
