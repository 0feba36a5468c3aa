"""Collecting the teacher's targets, against a straightforward collection: one query at a time, no key-value cache.

The baseline does what one would write first, and what the public code of arXiv 2509.22621 does: a greedy loop that
forwards the whole sequence again for every token and keeps the attention outputs of its last position.

    python bench/collect_targets.py --data-dir ../shared/data
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import models
import timing
import torch
from ia2_training import TrainingExample, collect_targets, record_activations
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ia2_eval.benchmarks import draw_training_set, load_benchmark
from ia2_eval.experiments.adapt_cell import training_examples


def straightforward(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: list[TrainingExample], tokens: int
) -> list[tuple[list[int], torch.Tensor]]:
    """Response token ids and activations [L, G, d] of each example."""
    collected = []
    for example in examples:
        ids = tokenizer(example.context, return_tensors="pt").input_ids.to(model.device)  # [1, T]
        response: list[int] = []
        steps = []
        with torch.no_grad(), record_activations(model, last=1) as outputs:
            while len(response) < tokens and tokenizer.eos_token_id not in response:
                logits = model(input_ids=ids, use_cache=False).logits  # [1, T, V]
                steps.append(torch.stack([output[0] for output in outputs]).cpu())  # [L, 1, d]
                response.append(int(logits[0, -1].argmax()))
                ids = torch.cat([ids, ids.new_tensor([[response[-1]]])], dim=1)
        collected.append((response, torch.cat(steps, dim=1)))
    return collected


def check_equal(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: list[TrainingExample], tokens: int = 8
) -> None:
    """Both ways must give the same, here for a few tokens.

    Raises:
        AssertionError: they differ.
    """
    fast = collect_targets(model, tokenizer, examples, max_new_tokens=tokens)
    slow = straightforward(model, tokenizer, examples, tokens)
    for targets, (response, activations) in zip(fast, slow, strict=True):
        assert list(targets.response_ids) == response, "the two ways gave different tokens"
        torch.testing.assert_close(targets.activations, activations, rtol=1e-3, atol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="local data with GSM8K; without it, an embedded benchmark")
    parser.add_argument("--models", nargs="+", default=["embedded", "qwen3_8x256"], choices=models.NAMES)
    parser.add_argument("--tokens", nargs="+", type=int, default=[64, 200], help="T")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--baseline-repeats", type=int, default=1, help="the baseline takes minutes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    benchmark = "gsm8k" if options.data_dir else "embedded_arithmetic"
    training_set = draw_training_set(load_benchmark(benchmark, options.data_dir), 4, 0)
    train, dev = training_examples(training_set, "strict")
    examples = [*train, *dev]
    torch.set_num_threads(1)
    print(timing.machine())
    for name in options.models:
        model, tokenizer = models.load(name, options.device, options.dtype)
        model.generation_config.eos_token_id = None
        check_equal(model, tokenizer, examples)
        for tokens in options.tokens:
            collect = partial(collect_targets, model, tokenizer, examples, max_new_tokens=tokens)
            collected = sum(len(targets.response_ids) for targets in collect())
            print(
                timing.compare(
                    f"{benchmark} N=4, {len(train)} + {len(dev)} examples, {name}, T={tokens}",
                    collect,
                    "batch 1 without a cache",
                    partial(straightforward, model, tokenizer, examples, tokens),
                    options.repeats,
                    options.baseline_repeats,
                    f"{collected} response tokens",
                ),
                flush=True,
            )
    print(timing.peak_memory())


if __name__ == "__main__":
    main()
