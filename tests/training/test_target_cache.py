from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ia2_training import (
    Alignment,
    Method,
    StoredTensor,
    TargetCache,
    TeacherTargets,
    TrainingConfig,
    TrainingExample,
    adapt,
    target_cache,
)
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

CONFIG = TrainingConfig(max_new_tokens=4)
IA2 = Method("ia2")
SOFT = Method("soft_sft")

Ask = Callable[..., TeacherTargets]


@contextmanager
def passes(model: PreTrainedModel) -> Iterator[list[None]]:
    """An entry for each forward pass."""
    seen: list[None] = []
    hook = model.register_forward_hook(lambda *_: seen.append(None))
    yield seen
    hook.remove()


@pytest.fixture
def ask(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[TrainingExample], tmp_path: Path
) -> Ask:
    """What a fresh cache object gives for three training examples and one dev example."""

    def ask(base: str = "base", in_memory: bool = False, **changes: Any) -> TeacherTargets:
        cache = TargetCache(tmp_path / "cache", base, in_memory=in_memory)
        arguments: dict[str, Any] = {"train": examples[:3], "dev": examples[3:], "config": CONFIG, "method": IA2}
        return cache.get_or_collect(qwen3, tokenizer, **arguments | changes)

    return ask


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").iterdir())


def same(one: TeacherTargets, other: TeacherTargets, top_k: int | None = None) -> bool:
    def equal(a: Any, b: Any) -> bool:
        if a.response_ids != b.response_ids or a.output != b.output or not torch.equal(a.activations, b.activations):
            return False
        if a.log_probabilities is None or b.log_probabilities is None:
            return True
        return torch.equal(a.distributions(top_k)[0], b.distributions(top_k)[0])

    return all(len(x) == len(y) and all(map(equal, x, y)) for x, y in ((one.train, other.train), (one.dev, other.dev)))


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("method", [IA2, SOFT, Method("soft_sft", top_k=3)], ids=str)
def test_collected_once_and_the_same_afterwards(
    ask: Ask,
    qwen3: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[TrainingExample],
    tmp_path: Path,
    in_memory: bool,
    method: Method,
) -> None:
    fresh = TeacherTargets.for_method(qwen3, tokenizer, examples[:3], examples[3:], CONFIG, method)
    first = ask(method=method, in_memory=in_memory)
    with passes(qwen3) as seen:
        second = ask(method=method, in_memory=in_memory)
    assert not seen
    assert same(first, fresh, method.top_k)
    assert same(second, fresh, method.top_k)
    assert second.train[0].distributions(3)[0].shape[1] == 3 if method.asks_distributions else True
    (file,) = files(tmp_path)
    assert isinstance(second.train[0].source, StoredTensor) != in_memory
    file.unlink()
    if in_memory:
        assert second.train[0].activations.shape[0] == 2
    else:
        with pytest.raises(FileNotFoundError):  # the activations are read only now
            _ = second.train[0].activations


def test_methods_learning_rates_and_weights_share_an_entry(ask: Ask, qwen3: PreTrainedModel, tmp_path: Path) -> None:
    ask()
    with passes(qwen3) as seen:
        for method in (
            Method("ia2_sft"),
            Method("ia2+sft", sft_weight=0.1),
            Method("sft", labels="icl_outputs"),
            Method("ia2", alignment=Alignment(layers=(1,), distance="cosine")),
        ):
            ask(method=method, config=replace(CONFIG, learning_rate=1.0, seed=7, epochs=1, target_batch_size=1))
    assert not seen
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("in_memory", [False, True])
def test_distributions_serve_methods_that_need_less(
    ask: Ask, qwen3: PreTrainedModel, tmp_path: Path, in_memory: bool
) -> None:
    few, more, less = (Method("soft_sft", top_k=k) for k in (3, None, 2))
    without = ask(method=IA2).train[0]
    for collected in (few, more):  # each asks for more than there is
        with passes(qwen3) as seen:
            wanted = ask(method=collected, in_memory=in_memory).train[0].distributions(3)
        assert seen
        assert len(files(tmp_path)) == 1
        with passes(qwen3) as seen:
            assert torch.equal(ask(method=less, in_memory=in_memory).train[0].distributions(2)[0], wanted[0][:, :2])
            plain = ask(method=IA2, in_memory=in_memory).train[0]
        assert not seen
        assert plain.log_probabilities is None
        assert torch.equal(plain.activations, without.activations)


def test_everything_that_changes_targets_is_in_the_key(
    ask: Ask, qwen3: PreTrainedModel, examples: list[TrainingExample], tmp_path: Path
) -> None:
    turned = replace(examples[0], demonstrations=examples[0].demonstrations[::-1])
    changes: list[dict[str, Any]] = [
        {},
        {"base": "another"},
        {"train": [turned, *examples[1:3]]},
        {"dev": ()},
        {"config": replace(CONFIG, max_new_tokens=5)},
        {"config": replace(CONFIG, answer_end=lambda text: 1, answer_end_name="first character")},
        {"config": replace(CONFIG, demonstration_orders=4)},
        {"config": replace(CONFIG, demonstration_orders=4, seed=1)},
        {"method": Method("ia2", alignment=Alignment(output="mlp"))},
    ]
    for count, change in enumerate(changes, 1):
        ask(**change)
        assert len(files(tmp_path)) == count, change
    qwen3.generation_config.eos_token_id = [2, 30]
    ask()
    qwen3.bfloat16()
    assert ask().train[0].activations.dtype == torch.bfloat16
    assert len(files(tmp_path)) == len(changes) + 2


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def of_another_key(file: Path) -> None:
    """Sound in itself, but the name is another's."""
    save_file(load_file(file), file, metadata={"key": "0" * 64})


def without_checksum(file: Path) -> None:
    save_file(load_file(file), file, metadata={"key": file.stem})


def flipped(place: float) -> Callable[[Path], None]:
    def flip(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[int(place * (len(content) - 1))] ^= 4
        file.write_bytes(content)

    flip.__name__ = f"flipped at {place}"
    return flip


@pytest.mark.parametrize(
    "damage",
    [truncated, emptied, of_another_key, without_checksum, *map(flipped, (0.0, 0.001, 0.02, 0.1, 0.5, 0.9, 1.0))],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_entry_is_reported_and_rebuilt(
    ask: Ask, qwen3: PreTrainedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    whole = ask(in_memory=True)
    (file,) = files(tmp_path)
    sound = file.read_bytes()
    damage(file)
    assert file.read_bytes() != sound
    with passes(qwen3) as seen, caplog.at_level(logging.WARNING, logger="ia2_training"):
        assert same(ask(), whole)
    assert seen
    (message,) = caplog.messages
    assert str(file) in message and "collected again" in message
    with passes(qwen3) as seen:
        assert same(ask(), whole)
    assert not seen
    assert files(tmp_path) == [file]


def test_an_entry_appears_whole_or_not_at_all(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target_cache, "save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert files(tmp_path) == []


def test_a_rule_without_a_name_is_refused(ask: Ask) -> None:
    with pytest.raises(ValueError, match="answer_end_name"):
        ask(config=replace(CONFIG, answer_end=lambda text: 1))


@pytest.mark.parametrize("method", [IA2, SOFT], ids=str)
def test_training_on_stored_targets_is_training_on_collected_ones(
    ask: Ask,
    qwen3: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[TrainingExample],
    method: Method,
) -> None:
    config = replace(CONFIG, epochs=3, demonstration_orders=2)
    histories = []
    for targets in (None, ask(method=method, config=config)):
        adapted = adapt(
            qwen3,
            tokenizer,
            examples[:3],
            examples[3:],
            method=method,
            config=config,
            targets=targets,
            progress=lambda check: None,
        )
        histories.append(adapted.history)
        adapted.detach()
    assert histories[0] == histories[1]


def test_another_process_that_wrote_more_in_the_meantime_is_not_overwritten(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_method = TeacherTargets.for_method

    def slow(*arguments: Any) -> TeacherTargets:
        monkeypatch.setattr(TeacherTargets, "for_method", for_method)
        ask(method=SOFT)  # the other process
        return for_method(*arguments)

    monkeypatch.setattr(TeacherTargets, "for_method", slow)
    ask(method=IA2)
    (file,) = files(tmp_path)
    assert "0.log_probabilities" in load_file(file)
