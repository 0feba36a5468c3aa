"""Adapters that are trained together are those that `adapt` trains one after another."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ia2_training import (
    Adapted,
    Check,
    Ia3Adapter,
    Job,
    LoraAdapter,
    Method,
    PhaseHistory,
    TeacherTargets,
    TrainedLora,
    TrainingConfig,
    TrainingExample,
    adapt,
    adapt_together,
    targets,
)
from ia2_training import forward_together as forward_module
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

ADAPTER = LoraAdapter(r=4, alpha=8, modules=("q_proj", "k_proj", "o_proj", "up_proj"))
CONFIG = TrainingConfig.strict(max_new_tokens=3, epochs=6, patience=2)
RATES = (1e-3, 6e-2)
IDS = torch.tensor([[5, 6, 7, 8]])


def quiet(_: Check) -> None:
    pass


def examples(seed: int, count: int) -> list[TrainingExample]:
    """Prompts and answers of different lengths; the label does not depend on the prompt in a way one could learn."""
    made = []
    for index in range(count):
        number = 5 * seed + index
        words = " ".join(f"w{(number * 11 + word) % 40}" for word in range(1 + (number * 7) % 6))
        shown = tuple(f"Text:w{(number + 3 * d) % 40}\nLabel:w{d}" for d in range(1 + number % 2))
        answer = " ".join(f"w{(number * 13 + word) % 40}" for word in range(1 + number % 2))
        made.append(TrainingExample(f"Text:{words}\nLabel:", answer, shown))
    return made


def jobs(sizes: Sequence[int] = (5, 5), dev: int = 3, config: TrainingConfig = CONFIG) -> list[Job]:
    """For each size a seed with data of its own, for each seed all learning rates."""
    return [
        Job(examples(seed, size), examples(seed + 50, dev), replace(config, seed=seed, learning_rate=rate))
        for seed, size in enumerate(sizes)
        for rate in RATES
    ]


def alone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, job: Job, method: Method | str
) -> tuple[dict[str, Tensor], tuple[PhaseHistory, ...]]:
    """Weights and history of `adapt`."""
    adapted = adapt(
        model,
        tokenizer,
        job.train,
        job.dev,
        method=method,
        adapter=ADAPTER,
        config=job.config,
        targets=job.targets,
        unlabelled=job.unlabelled,
        initial_adapter=job.initial_adapter,
        progress=quiet,
    )
    weights = {name: weight.detach().clone() for name, weight in get_peft_model_state_dict(adapted.model).items()}
    adapted.detach()
    return weights, adapted.history


def stops(history: Sequence[PhaseHistory]) -> list[tuple[Any, ...]]:
    return [(p.loss, p.steps, p.best_step, p.kept_step, p.stop_reason, list(p.dev_losses)) for p in history]


@pytest.fixture
def equal(tokenizer: PreTrainedTokenizerFast) -> Callable[..., list[TrainedLora]]:
    """Train jobs both ways in float64 and compare everything."""

    def equal(model: PreTrainedModel, work: list[Job], method: Method | str = "ia2_sft") -> list[TrainedLora]:
        model.double()
        together = adapt_together(model, tokenizer, work, method=method, adapter=ADAPTER, progress=quiet)
        assert len(together) == len(work)
        for job, trained in zip(work, together, strict=True):
            weights, history = alone(model, tokenizer, job, method)
            assert stops(trained.history) == stops(history)
            for one, other in zip(trained.history, history, strict=True):
                assert one.dev_losses == pytest.approx(other.dev_losses, rel=1e-6)
                assert one.train_losses == pytest.approx(other.train_losses, rel=1e-6)
            assert trained.weights.keys() == weights.keys()
            for name, weight in weights.items():
                torch.testing.assert_close(trained.weights[name], weight, rtol=1e-6, atol=1e-6)
        return together

    return equal


METHODS = [
    "sft",
    "ia2",
    "ia2_sft",
    "sft_ia2",
    Method("ia2+sft", sft_weight=0.3),
    "soft_sft",
    Method("ia2_sft", labels="icl_outputs"),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: getattr(method, "name", method))
def test_equal_in_float64(equal: Any, model: PreTrainedModel, method: Method | str) -> None:
    """Five examples: the second batch of an epoch has a single one, and there is a check at its end too."""
    trained = equal(model, jobs(), method)
    assert len({phase.steps for adapter in trained for phase in adapter.history}) > 1, "some leave before others"


@pytest.mark.parametrize("method", ["ia2_sft", "soft_sft"])
def test_equal_in_float32(qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, method: str) -> None:
    work = jobs(config=replace(CONFIG, patience=50))
    for job, trained in zip(
        work, adapt_together(qwen3, tokenizer, work, method=method, adapter=ADAPTER, progress=quiet), strict=True
    ):
        _, history = alone(qwen3, tokenizer, job, method)
        for one, other in zip(trained.history, history, strict=True):
            assert one.dev_losses == pytest.approx(other.dev_losses, abs=1e-4)


@pytest.mark.parametrize(
    ("work", "method"),
    [
        pytest.param(jobs(sizes=(7, 2, 4)), "ia2_sft", id="different N, hence steps, checks and budgets"),
        pytest.param(jobs(config=replace(CONFIG, micro_batch_size=7)), "ia2", id="passes of some adapters"),
        pytest.param(jobs(config=replace(CONFIG, micro_batch_size=1)), "ia2", id="passes of single rows"),
        pytest.param(jobs(config=replace(CONFIG, gradient_checkpointing=True)), "ia2_sft", id="checkpointing"),
        pytest.param(jobs(dev=0), "ia2_sft", id="no dev set"),
        pytest.param(
            jobs(config=replace(CONFIG, keep="last", step_zero=False, patience=2)), "ia2_sft", id="as published"
        ),
        pytest.param(jobs(config=replace(CONFIG, demonstration_orders=2)), "ia2", id="demonstration orders"),
        pytest.param([replace(job, unlabelled=examples(9, 3)) for job in jobs()], "ia2_sft", id="unlabelled queries"),
    ],
)
def test_equal_in_float64_however_it_is_trained(
    equal: Any, qwen3: PreTrainedModel, work: list[Job], method: str
) -> None:
    equal(qwen3, work, method)


def test_padding_changes_nothing(equal: Any, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows in one pass, whatever their lengths."""
    monkeypatch.setattr(forward_module, "passes", lambda lengths, most: [list(range(len(lengths)))])
    equal(model, jobs())


def test_a_single_job_is_adapt(equal: Any, qwen3: PreTrainedModel) -> None:
    equal(qwen3, jobs()[1:2])


def test_targets_that_are_given_and_initial_adapters(
    equal: Any, qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """The last phase alone, from the saved first phase: as both phases in one go."""
    qwen3.double()
    work = [
        replace(job, targets=TeacherTargets.collect(qwen3, tokenizer, job.train, job.dev, max_new_tokens=3))
        for job in jobs()
    ]
    whole = equal(qwen3, work)
    first = equal(qwen3, work, "ia2")
    for number, trained in enumerate(first):
        trained.save(tmp_path / str(number))
    started = [replace(job, initial_adapter=tmp_path / str(number)) for number, job in enumerate(work)]
    for one, other in zip(equal(qwen3, started), whole, strict=True):
        assert stops(one.history) == stops(other.history[1:])
        for name, weight in other.weights.items():
            torch.testing.assert_close(one.weights[name], weight, rtol=1e-6, atol=1e-6)


def test_bfloat16_base(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Up to the rounding of bfloat16, which depends on the batch."""
    model.bfloat16()
    work = jobs(config=replace(CONFIG, patience=50))[::2]
    for job, trained in zip(
        work, adapt_together(model, tokenizer, work, method="ia2", adapter=ADAPTER, progress=quiet), strict=True
    ):
        assert {weight.dtype for weight in trained.weights.values()} == {torch.float32}
        (phase,), (_, (expected,)) = trained.history, alone(model, tokenizer, job, "ia2")
        assert phase.dev_losses == pytest.approx(expected.dev_losses, rel=0.02)


def test_the_teacher_is_asked_once_for_the_same_examples(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = []
    collect = targets.collect_targets
    monkeypatch.setattr(targets, "collect_targets", lambda *a, **k: collected.append(len(a[2])) or collect(*a, **k))
    short = replace(CONFIG, epochs=1)
    adapt_together(qwen3, tokenizer, jobs((5, 4), config=short), method="ia2", progress=quiet)
    assert collected == [8, 7], "two sets of examples, two learning rates for each"
    collected.clear()
    adapt_together(qwen3, tokenizer, jobs((5, 4), config=short), method="sft", progress=quiet)
    assert collected == []


def test_a_saved_adapter_is_the_ordinary_peft_adapter_of_adapt(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model.double()
    job = jobs()[1]
    adapted: Adapted = adapt(
        model, tokenizer, job.train, job.dev, method="sft", adapter=ADAPTER, config=job.config, progress=quiet
    )
    logits = adapted.model(IDS).logits
    adapted.save(tmp_path / "alone")
    adapted.detach()
    plain = model(IDS).logits
    trained = adapt_together(model, tokenizer, jobs()[:3], method="sft", adapter=ADAPTER, progress=quiet)[1]
    assert torch.equal(model(IDS).logits, plain), "the base carries nothing"
    trained.save(tmp_path / "together")
    trained.save(tmp_path / "together")  # over an earlier one
    files = {directory: {file.name for file in (tmp_path / directory).iterdir()} for directory in ("alone", "together")}
    assert files["alone"] == files["together"]
    configs = [json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in ("alone", "together")]
    for config in configs:
        config["target_modules"] = set(config["target_modules"])  # a set, in PEFT too
    assert configs[0] == configs[1]
    loaded = PeftModel.from_pretrained(model, tmp_path / "together")
    torch.testing.assert_close(loaded(IDS).logits, logits, atol=1e-4, rtol=0)
    assert not torch.allclose(logits, plain, atol=1e-2)


def test_progress_says_how_many_adapters_are_still_trained(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    checks: list[Check] = []
    trained = adapt_together(
        qwen3, tokenizer, jobs(), method=Method("ia2_sft"), adapter=ADAPTER, progress=checks.append
    )
    for number, loss in enumerate(("alignment", "cross_entropy")):
        phases = [adapter.history[number] for adapter in trained]
        seen = {check.step: check for check in checks if check.phase.startswith(loss)}
        assert list(seen) == sorted(set().union(*(phase.dev_losses for phase in phases)))
        for step, check in seen.items():
            still = [phase for phase in phases if step <= phase.steps]
            assert check.phase == f"{loss} ({len(still)} of 4 adapters)"
            assert check.dev_loss == pytest.approx(sum(phase.dev_losses[step] for phase in still) / len(still))
            assert check.budget == 12
    assert any("(4 of 4 adapters)" not in check.phase for check in checks)
    with caplog.at_level(logging.INFO, logger="ia2_training"):
        adapt_together(qwen3, tokenizer, jobs(), method="ia2_sft", adapter=ADAPTER)
    assert [line.split()[0] for line in caplog.messages] == ["alignment", "cross_entropy"], "one line for each phase"


def test_one_that_diverges_does_not_harm_the_others(qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    work = jobs(config=replace(CONFIG, patience=50))[:3]
    lost = replace(work[0], config=replace(work[0].config, learning_rate=1e38))
    expected = adapt_together(qwen3, tokenizer, work, method="sft", adapter=ADAPTER, progress=quiet)
    with_lost = adapt_together(qwen3, tokenizer, [lost, *work[1:]], method="sft", adapter=ADAPTER, progress=quiet)
    assert with_lost[0].history[0].dev_losses[12] != with_lost[0].history[0].dev_losses[12]
    assert [a.history for a in with_lost[1:]] == [a.history for a in expected[1:]]


def test_an_interrupt_leaves_the_base_clean(qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    plain = qwen3(IDS).logits

    def interrupt(check: Check) -> None:
        if check.step == 2:
            raise KeyboardInterrupt

    checkpointing = jobs(config=replace(CONFIG, gradient_checkpointing=True))
    with pytest.raises(KeyboardInterrupt):
        adapt_together(qwen3, tokenizer, checkpointing, method="ia2", progress=interrupt)
    assert not hasattr(qwen3, "peft_config")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in qwen3.modules())
    assert torch.equal(qwen3(IDS).logits, plain)


def test_jobs_that_cannot_be_trained_together(
    qwen3: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def refused(message: str, work: list[Job], adapter: Any = ADAPTER) -> None:
        with pytest.raises(ValueError, match=message):
            adapt_together(qwen3, tokenizer, work, method="ia2", adapter=adapter, progress=quiet)

    one, other = jobs()[:2]
    refused("no jobs", [])
    refused("Ia3Adapter", [one], Ia3Adapter())
    refused("Job 1 has epochs = 9, job 0 has 6", [one, replace(other, config=replace(other.config, epochs=9))])
    refused("Jobs 0 and 1: only one of them has an initial", [one, replace(other, initial_adapter=tmp_path)])
    refused("no saved adapter", [replace(job, initial_adapter=tmp_path) for job in (one, other)])
    refused("no training examples", [one, replace(other, train=[])])
    adapted = adapt(qwen3, tokenizer, one.train, method="sft", config=replace(CONFIG, epochs=1), progress=quiet)
    refused("already carries an adapter", [one])
    adapted.detach()
