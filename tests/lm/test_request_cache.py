from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ia2_training.adapters import LoraAdapter
from ia2_training.attach import attach, detach
from ia2_training.full_fine_tuning import train_all_parameters
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from peft import PeftModel

from ia2_eval.lm.base_model import Base, BaseModel, load, locate
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.lm.merged import merged_adapter
from ia2_eval.lm.request_cache import CHUNK, checksums, everyones_end, fingerprint, weights_digest
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood
from ia2_eval.shipped import TASKS_DIRECTORY

TASKS = ["ia2_embedded_mood", "ia2_embedded_arithmetic"]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval lists the installed packages with every result, in seconds."""
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")


@pytest.fixture
def base() -> BaseModel:
    return load(locate(Base(model="embedded")), "cpu")


@pytest.fixture
def two(base: BaseModel) -> Iterator[PeftModel]:
    """The base with the adapters `default`, which is active, and `other`."""
    model = attach(base.model, LoraAdapter(), seed=0)
    model.add_adapter("other", LoraAdapter().peft_config())
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draws))
    yield model
    detach(model)


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata={})


def loaded(model: object, base: BaseModel, **settings: Any) -> IA2HF:
    return IA2HF(pretrained=model, tokenizer=base.tokenizer, batch_size=8, **settings)


class Passes:
    """How often a model was run."""

    def __init__(self, base: BaseModel) -> None:
        self.count = 0
        base.model.lm_head.register_forward_hook(self._counted)

    def _counted(self, *_: object) -> None:
        self.count += 1

    def since(self, work: Callable[[], object]) -> int:
        before = self.count
        work()
        return self.count - before


def answers(lm: IA2HF, manager: TaskManager, cache: Path | None) -> dict[str, list[Any]]:
    found = simple_evaluate(
        lm, tasks=TASKS, task_manager=manager, limit=4, bootstrap_iters=0, use_cache=cache and str(cache)
    )
    return {task: [sample["resps"] for sample in found["samples"][task]] for task in TASKS}


def flat(found: dict[str, list[Any]]) -> list[Any]:
    return [answer for samples in found.values() for responses in samples for (answer,) in responses]


def test_adapters_share_a_file_and_no_answers(
    base: BaseModel, two: PeftModel, manager: TaskManager, tmp_path: Path
) -> None:
    cache, lm, passes = tmp_path / "answers", loaded(two, base), Passes(base)
    expected = {}
    for adapter in ("default", "other"):
        two.set_adapter(adapter, inference_mode=True)
        expected[adapter] = answers(lm, manager, None)
    assert expected["default"] != expected["other"]
    for adapter in ("default", "other"):  # what is asked is the same
        two.set_adapter(adapter, inference_mode=True)
        assert answers(lm, manager, cache) == expected[adapter]
    for adapter in ("default", "other"):
        two.set_adapter(adapter, inference_mode=True)
        again: dict[str, list[Any]] = {}
        assert passes.since(lambda found=again: found.update(answers(lm, manager, cache))) == 0  # type: ignore[misc]
        assert again == expected[adapter]
        for fresh, cached in zip(flat(expected[adapter]), flat(again), strict=True):
            assert type(cached) is type(fresh) and isinstance(cached, LogLikelihood | GeneratedText)
            assert vars(cached) == vars(fresh) != {}


def test_a_second_process_is_served(base: BaseModel, two: PeftModel, manager: TaskManager, tmp_path: Path) -> None:
    expected = answers(loaded(two, base), manager, tmp_path / "answers")
    weights = two.state_dict()
    again = load(locate(Base(model="embedded")), "cpu")
    model = attach(again.model, LoraAdapter(), seed=0)
    model.add_adapter("other", LoraAdapter().peft_config())
    model.load_state_dict(weights)
    passes = Passes(again)
    lm = loaded(model, again)
    assert passes.since(lambda: answers(lm, manager, tmp_path / "answers")) == 0
    assert answers(lm, manager, tmp_path / "answers") == expected


def test_a_cache_that_stays_open_follows_the_adapter(base: BaseModel, two: PeftModel, tmp_path: Path) -> None:
    lm = loaded(two, base)
    request = [Instance("loglikelihood", {}, ("3 plus 4 is", " 7"), 0)]
    cached = CachingLM(lm, str(tmp_path / "answers.db"))
    found = {}
    for adapter in ("default", "other", "default"):
        two.set_adapter(adapter, inference_mode=True)
        found[adapter] = cached.loglikelihood(request)
        assert found[adapter] == lm.loglikelihood(request)
    assert found["default"] != found["other"]
    with two.disable_adapter():
        plain = cached.loglikelihood(request)
    assert plain not in found.values()
    assert len(cached.dbdict) == 3


def test_answers_after_an_evaluation_are_not_written_to_its_cache(
    base: BaseModel, two: PeftModel, manager: TaskManager, tmp_path: Path
) -> None:
    cache, lm = tmp_path / "answers", loaded(two, base)
    before = answers(lm, manager, cache)
    weights = {name: value.clone() for name, value in two.state_dict().items()}
    with torch.no_grad():
        for name, parameter in two.named_parameters():
            if "lora_B.default" in name:
                parameter.mul_(-1)
    assert answers(lm, manager, None) != before  # other weights under the same name
    two.load_state_dict(weights)
    assert answers(lm, manager, cache) == before


def test_lm_eval_s_own_models_find_nothing_of_ours(base: BaseModel, manager: TaskManager, tmp_path: Path) -> None:
    passes = Passes(base)
    answers(loaded(base.model, base), manager, tmp_path / "answers")
    plain = HFLM(pretrained=base.model, tokenizer=base.tokenizer, batch_size=8)
    assert passes.since(lambda: answers(plain, manager, tmp_path / "answers")) > 0


def test_fingerprints(base: BaseModel) -> None:
    prints = [fingerprint(loaded(base.model, base))]
    assert fingerprint(loaded(base.model, base)) == prints[0]
    prints.append(fingerprint(loaded(base.model, base, max_length=64)))
    prints.append(fingerprint(loaded(base.model, base, softmax_dtype=None)))
    base.tokenizer(["a", "b c"], padding=True)
    assert fingerprint(loaded(base.model, base)) == prints[0]
    model = attach(base.model, LoraAdapter(), seed=0)
    prints.append(fingerprint(loaded(model, base)))
    with torch.no_grad():
        next(value for name, value in model.named_parameters() if "lora_B" in name)[0, 0] = 1e-6
    prints.append(fingerprint(loaded(model, base)))
    with model.disable_adapter():
        prints.append(fingerprint(loaded(model, base)))
    with merged_adapter(model):
        prints.append(fingerprint(loaded(model, base)))
    assert fingerprint(loaded(model, base)) == prints[4]
    detach(model)
    doubled = attach(base.model, LoraAdapter(alpha=16), seed=0)
    prints.append(fingerprint(loaded(doubled, base)))
    detach(doubled)
    assert fingerprint(loaded(base.model, base)) == prints[0]
    trained = train_all_parameters(base.model)
    with torch.no_grad():
        next(trained.parameters())[0, 0] += 1
    prints.append(fingerprint(loaded(trained, base)))
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.bool])
def test_checksums_are_those_of_big_integers(dtype: torch.dtype) -> None:
    draws = torch.Generator().manual_seed(1)
    factors = torch.randint(-(2**62), 2**62, (CHUNK,), generator=draws) * 2 + 1
    tensor = (10 * torch.randn(5, 3, generator=draws)).to(dtype)
    data = tensor.view(torch.uint8).numpy().tobytes()
    data += bytes(-len(data) % 4)
    words = [int.from_bytes(data[i : i + 4], "little", signed=True) for i in range(0, len(data), 4)]
    expected = sum(word * factor for word, factor in zip(words, factors.tolist(), strict=False)) % 2**64
    assert int(checksums(tensor, factors)) % 2**64 == expected


def test_a_digest_notices_every_single_change() -> None:
    tensor = torch.arange(2 * CHUNK + 5, dtype=torch.float32)
    digest = weights_digest([("w", tensor)])
    assert weights_digest([("w", tensor.clone())]) == digest
    for place in (0, 1, CHUNK - 1, CHUNK, len(tensor) - 1):
        changed = tensor.clone()
        changed[place] += 0.5
        assert weights_digest([("w", changed)]) != digest
    swapped = tensor.clone()
    swapped[[0, 1]] = tensor[[1, 0]]
    others = [[("v", tensor)], [("w", tensor.view(1, -1))], [("w", tensor.view(torch.int32))], [("w", swapped)], []]
    assert digest not in [weights_digest(other) for other in others]
    with pytest.raises(ValueError, match="'w' are not in memory"):
        weights_digest([("w", torch.empty(2, device="meta"))])
    assert weights_digest([("w", torch.empty(0))]) != weights_digest([("w", torch.empty(0, 2))])


def test_the_end_for_all_protocols() -> None:
    end = everyones_end("hash_line")
    assert end("first\n\nthen 2\n#### 2") is None  # strict still waits for the end of the answer's line
    assert end("first\n\nthen 2\n#### 2\nmore") == len("first\n\nthen 2\n#### 2")
    assert end("2\n#### 2\nmore") is None  # paper still waits for a blank line
    assert end("2\n#### 2\nmore\n\n") == len("2\n#### 2\nmore")
