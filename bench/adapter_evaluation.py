"""Evaluating adapters with one `ia2-eval evaluate` against a process of lm-eval for each, as its command line has it.

Random LoRA adapters on a random model, on SST-2, AG News and SciQ (labelled) without demonstrations. Both sides write
lm-eval's results; their accuracies are compared in the run.

    python bench/adapter_evaluation.py --data-dir ../shared/data
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import models
import timing
import torch
from ia2_training import LoraAdapter, attach, detach, save_adapter

from ia2_eval.benchmarks import load_benchmark
from ia2_eval.benchmarks.load import data_directory
from ia2_eval.shipped import TASKS_DIRECTORY

Accuracies = dict[str, dict[str, float]]
"""By adapter and task."""


def prepare(directory: Path, names: Sequence[str], options: argparse.Namespace) -> tuple[Path, list[Path]]:
    """A base model and adapters on disk."""
    texts = [each.text + "\n\n" for name in names for each in load_benchmark(name, options.data_dir).pool]
    model, tokenizer = models.load(options.model, "cpu", options.dtype, texts)
    base = directory / "base"
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    adapters = []
    for seed in range(options.adapters):
        adapted = attach(model, LoraAdapter(), seed=seed)
        draws = torch.Generator().manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.1, generator=draws)
        adapters.append(directory / f"adapter_{seed}")
        save_adapter(adapted, adapters[-1])
        detach(adapted)
    return base, adapters


def run(arguments: Sequence[str], options: argparse.Namespace) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(options.threads)}
    if options.data_dir:
        environment["IA2_DATA_DIR"] = str(options.data_dir.resolve())
    subprocess.run([sys.executable, "-m", *arguments], env=environment, check=True, capture_output=True)


def one_process(base: Path, adapters: Sequence[Path], tasks: str, out: Path, options: argparse.Namespace) -> None:
    given = [part for adapter in adapters for part in ("--adapter", str(adapter))]
    settings = ["--tasks", tasks, "--limit", str(options.queries), "--batch-size", str(options.batch_size)]
    settings += ["--dtype", options.dtype, "--device", options.device, "--out", str(out)]
    run(["ia2_eval.cli", "evaluate", "--base", str(base), *given, *settings], options)


def a_process_each(base: Path, adapters: Sequence[Path], tasks: str, out: Path, options: argparse.Namespace) -> None:
    for adapter in adapters:
        model = f"pretrained={base},dtype={options.dtype},peft={adapter},softmax_dtype=float32"
        settings = ["--limit", str(options.queries), "--batch_size", str(options.batch_size)]
        settings += ["--device", options.device, "--include_path", str(TASKS_DIRECTORY), "--tasks", tasks]
        settings += ["--log_samples", "--output_path", str(out / adapter.name)]
        run(["lm_eval", "run", "--model", "hf", "--model_args", model, *settings], options)


def accuracies(out: Path) -> Accuracies:
    found = {}
    for path in sorted(out.glob("*/**/results_*.json")):
        results = json.loads(path.read_text())["results"]
        found[path.relative_to(out).parts[0]] = {task: values["acc,none"] for task, values in results.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="local data; without it, embedded benchmarks")
    parser.add_argument("--model", default="qwen3_8x256", choices=models.NAMES)
    parser.add_argument("--adapters", type=int, default=10)
    parser.add_argument("--queries", type=int, default=200, help="of each benchmark")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--baseline-repeats", type=int, default=1, help="the baseline takes minutes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    local = data_directory(options.data_dir)
    names = ("sst2", "agn", "sciqr") if local else ("embedded_mood", "embedded_action", "embedded_object")
    tasks = ",".join(f"ia2_{name}" for name in names)
    print(timing.machine())
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        base, adapters = prepare(directory, names, options)
        fast, slow = directory / "fast", directory / "slow"

        def again() -> None:
            one_process(base, adapters, tasks, Path(tempfile.mkdtemp(dir=directory)), options)

        compared = timing.compare(
            f"{options.adapters} adapters on {tasks}, {options.queries} queries each, {options.model}",
            again,
            f"{options.adapters} processes of lm-eval",
            lambda: a_process_each(base, adapters, tasks, slow, options),
            options.repeats,
            options.baseline_repeats,
        )
        one_process(base, adapters, tasks, fast, options)
        same = "the same accuracies" if accuracies(fast) == accuracies(slow) else "other accuracies"
        print(compared, f"{same} of {len(accuracies(slow))} adapters", sep="; ", flush=True)


if __name__ == "__main__":
    main()
