"""Evaluating in-context learning with `ia2-hf` against lm-eval's own `hf`: the same requests, the same batch size.

Labels of AG News behind N demonstrations, and answers to GSM8K generated behind N. Both models give the same choices
(checked in the run); the peak memory of each is that of a process of its own.

    python bench/icl_evaluation.py --data-dir ../shared/data
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import models
import timing
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from ia2_eval.benchmarks import BenchmarkData, draw_training_set, load_benchmark, with_demonstrations
from ia2_eval.benchmarks.load import data_directory
from ia2_eval.lm.ia2_hf import IA2HF

ANSWERS = {"hf": HFLM, "ia2-hf": IA2HF}


def requests(data: BenchmarkData, n: int, queries: int, new_tokens: int) -> list[Instance]:
    """A request for each label of each query, or for a text where answers are texts."""
    demonstrations = draw_training_set(data, n, 0).train
    made = []
    for place, example in enumerate(data.evaluation[:queries]):
        context = with_demonstrations(demonstrations, example.prompt)
        settings = {"until": [], "max_gen_toks": new_tokens, "do_sample": False}
        second: Sequence[Any] = data.benchmark.labels or (settings,)
        kind = "loglikelihood" if data.benchmark.labels else "generate_until"
        made += [Instance(kind, {}, (context, each), place, metadata=("bench", place, 1)) for each in second]
    return made


def prepare(kind: str, options: argparse.Namespace, name: str, n: int, new_tokens: int) -> partial[list[Any]]:
    """What is timed: all requests answered by a loaded model."""
    data = load_benchmark(name, options.data_dir)
    texts = [example.text + "\n\n" for example in data.pool]
    model, tokenizer = models.load(options.model, options.device, options.dtype, texts)
    asked = requests(data, n, options.queries if data.benchmark.labels else options.texts, new_tokens)
    lm = ANSWERS[kind](pretrained=model, tokenizer=tokenizer, batch_size=options.batch_size)
    return partial(getattr(lm, asked[0].request_type), asked, disable_tqdm=True)


def quietly(threads: int) -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)


def peak(kind: str, options: argparse.Namespace, name: str, n: int, new_tokens: int) -> int:
    """Peak memory in bytes of answering two batches in this process: on the GPU where there is one, else resident."""
    quietly(options.threads)
    options.queries, options.texts = (min(count, 2 * options.batch_size) for count in (options.queries, options.texts))
    prepare(kind, options, name, n, new_tokens)()
    return torch.cuda.max_memory_allocated() if options.device == "cuda" else timing.resident()


def differences(answers: Sequence[Any], expected: Sequence[Any]) -> str:
    if isinstance(expected[0], str):
        return f"{sum(a != e for a, e in zip(answers, expected, strict=True))} of {len(answers)} texts differ"
    most = max(abs(a[0] - e[0]) for a, e in zip(answers, expected, strict=True))
    greedy = sum(bool(a[1]) != bool(e[1]) for a, e in zip(answers, expected, strict=True))
    return f"log-likelihoods differ by {most:.1e} at most, the most likely token {greedy} times"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="local data; without it, embedded benchmarks")
    parser.add_argument("--model", default="qwen3_8x256", choices=models.NAMES)
    parser.add_argument("--n", nargs="+", type=int, default=[4, 16, 64], help="demonstrations of a label")
    parser.add_argument("--queries", type=int, default=200, help="whose labels are asked for")
    parser.add_argument("--n-text", type=int, default=8, help="demonstrations of a text")
    parser.add_argument("--texts", type=int, default=64, help="to generate")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--baseline-repeats", type=int, default=1, help="the slowest baseline takes minutes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    quietly(options.threads)
    local = data_directory(options.data_dir)
    labelled, written = ("agn", "gsm8k") if local else ("embedded_object", "embedded_arithmetic")
    print(timing.machine())
    for name, n, tokens in [*((labelled, n, 0) for n in options.n), (written, options.n_text, options.new_tokens)]:
        slow, fast = (prepare(kind, options, name, n, tokens) for kind in ANSWERS)
        asked = f"{options.queries} queries" if not tokens else f"{options.texts} texts of {tokens} tokens"
        title = f"{name}, N={n}, {asked}, batches of {options.batch_size}, {options.model}"
        answers: dict[str, list[Any]] = {}
        compared = timing.compare(
            title,
            lambda fast=fast, answers=answers: answers.update(fast=fast()),  # type: ignore[misc]
            "lm-eval's hf",
            lambda slow=slow, answers=answers: answers.update(slow=slow()),  # type: ignore[misc]
            options.repeats,
            options.baseline_repeats,
            notes="",
        )
        print(compared, differences(answers["fast"], answers["slow"]), sep="; ", flush=True)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
            sizes = [processes.submit(peak, kind, options, name, n, tokens).result() / 2**30 for kind in ANSWERS]
        print(f"  peak memory: {sizes[1]:.2f} GiB, of hf {sizes[0]:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
