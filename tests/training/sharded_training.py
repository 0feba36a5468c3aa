"""Trainings of a tiny random model, run alone or, as a script, by each process of a group with the model sharded:

RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 python sharded_training.py DIRECTORY
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ia2_training import (
    FullFineTuning,
    Ia3Adapter,
    Job,
    LoraAdapter,
    PrefixAdapter,
    PromptAdapter,
    TargetCache,
    TrainingConfig,
    TrainingExample,
    adapt,
    adapt_together,
    attach,
    collect_targets,
)
from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.training.conftest import SHAPE, make_tokenizer

Results = dict[str, Tensor]

TOKENIZER = make_tokenizer(bos=False)
CONFIG = {"epochs": 3, "batch_size": 3, "eval_every": 2, "learning_rate": 1e-2}


def tiny_model() -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SHAPE)).eval()


def examples(count: int, words: int) -> list[TrainingExample]:
    """Of different lengths, with answers of different lengths."""
    answers = ["w1 w2.", "w3", "w4 w5 w6.", "w7 w8", "w9"]
    return [
        TrainingExample(
            "Text:" + " ".join(f"w{(11 * index + word) % 40}" for word in range(words + index % 4)) + "\nLabel:",
            answers[index % 5],
            tuple(f"Text:w{(7 * index + 3 * shown) % 40}\nLabel:w{shown}" for shown in range(1 + index % 2)),
        )
        for index in range(count)
    ]


TRAIN, DEV = examples(5, 3), examples(3, 5)


def alone(model: Qwen3ForCausalLM, **settings: Any) -> Results:
    """Weights and losses of one training."""
    config = TrainingConfig(max_new_tokens=settings.pop("max_new_tokens", 3), **CONFIG, **settings.pop("config", {}))
    adapted = adapt(model, TOKENIZER, TRAIN, DEV, config=config, progress=lambda check: None, **settings)
    weights = {name: value.clone() for name, value in get_peft_model_state_dict(adapted.model).items()}
    losses = [[*phase.train_losses, *phase.dev_losses.values()] for phase in adapted.history]
    adapted.detach()
    return weights | {f"losses {number}": torch.tensor(phase) for number, phase in enumerate(losses)}


def together(model: Qwen3ForCausalLM, **settings: Any) -> Results:
    """Weights and losses of three adapters, which stop at different times."""
    jobs = [
        Job(TRAIN[: 3 + seed], DEV, TrainingConfig(max_new_tokens=3, seed=seed, patience=1, **CONFIG, **settings))
        for seed in range(3)
    ]
    results = {}
    for number, trained in enumerate(adapt_together(model, TOKENIZER, jobs, method="ia2_sft", progress=lambda _: None)):
        results |= {f"{number} {name}": value for name, value in trained.weights.items()}
        losses = [[*phase.train_losses, *phase.dev_losses.values()] for phase in trained.history]
        results |= {f"{number} losses {phase}": torch.tensor(values) for phase, values in enumerate(losses)}
    return results


def teacher(model: Qwen3ForCausalLM, directory: Path) -> Results:
    """Activations of the teacher, through the cache on disk: collected, and read again."""
    cache = TargetCache(directory / "targets", "a base", in_memory=True)
    from ia2_training import Method

    method, config = Method("ia2"), TrainingConfig(max_new_tokens=3)
    first, second = (cache.get_or_collect(model, TOKENIZER, TRAIN, DEV, config, method) for _ in range(2))
    assert all(torch.equal(a.activations, b.activations) for a, b in zip(first.train, second.train, strict=True))
    direct = collect_targets(model, TOKENIZER, TRAIN, max_new_tokens=3)
    assert all(a.response_ids == b.response_ids for a, b in zip(first.train, direct, strict=True))
    return {str(number): targets.activations for number, targets in enumerate((*first.train, *first.dev))}


TRAININGS: dict[str, Callable[[Qwen3ForCausalLM], Results]] = {
    "sft": lambda model: alone(model, method="sft"),
    "ia2": lambda model: alone(model, method="ia2"),
    "ia2_sft": lambda model: alone(model, method="ia2_sft"),
    "one row": lambda model: alone(model, method="ia2_sft", config={"micro_batch_size": 1}),
    "checkpointed": lambda model: alone(model, method="ia2", config={"gradient_checkpointing": True}),
    "ia3": lambda model: alone(model, method="ia2_sft", adapter=Ia3Adapter()),
    "prompt": lambda model: alone(model, method="ia2_sft", adapter=PromptAdapter(3)),
    "prefix": lambda model: alone(model, method="ia2_sft", adapter=PrefixAdapter(3)),
    "all modules": lambda model: alone(model, adapter=LoraAdapter(modules=("q_proj", "v_proj", "down_proj"))),
    "together": together,
    "together, few rows": lambda model: together(model, micro_batch_size=2),
}


def results(model: Qwen3ForCausalLM, directory: Path) -> Results:
    everything = {"teacher": teacher(model, directory)} | {name: train(model) for name, train in TRAININGS.items()}
    return {
        f"{name}: {key}": value.contiguous() for name, values in everything.items() for key, value in values.items()
    }


def full_fine_tuning(model: Qwen3ForCausalLM) -> str:
    """What is said of it."""
    try:
        attach(model, FullFineTuning(), seed=0)
    except ValueError as error:
        return str(error)
    return "nothing"


def main(directory: Path) -> None:
    import torch.distributed as dist
    from ia2_training.sharding import process_mesh, shard

    dist.init_process_group("gloo")
    model = tiny_model()
    whole = {name: parameter.numel() for name, parameter in model.named_parameters()}
    shard(model, process_mesh(torch.device("cpu")))
    kept = {
        name: getattr(parameter, "to_local", lambda parameter=parameter: parameter)().numel()
        for name, parameter in model.named_parameters()
    }
    rank = dist.get_rank()
    save_file(results(model, directory), directory / f"{rank}.safetensors")
    told = {"whole": whole, "kept": kept, "refused": full_fine_tuning(model)}
    (directory / f"{rank}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
