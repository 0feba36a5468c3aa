from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ia2_training.adapters import Adapter, FullFineTuning, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from ia2_training.batches import TokenSequence, make_batch
from ia2_training.losses import cross_entropy
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel

from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.errors import UserError
from ia2_eval.lm import ia2_hf
from ia2_eval.lm.base_model import Base, BaseModel, load, locate
from ia2_eval.lm.generation import Generated
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.lm.shared_prefix import SharedPrefix
from ia2_eval.scoring.model_answers import GeneratedText
from tests.lm import tiny_models
from tests.lm.equality import assert_same, ours

PROMPTS = ["3 plus 4 is", "7", "12 minus 5 is 7.\n\n8 plus 1 is", "2 plus 2 is 4. 3 minus 1"]
LABELS = [" 1", " 12 minus"]
NEW_TOKENS = 8

adapters = pytest.mark.parametrize(
    "adapter", [None, LoraAdapter(), FullFineTuning(), PromptAdapter(3), PrefixAdapter(3)], ids=repr
)


@pytest.fixture
def base() -> BaseModel:
    return load(locate(Base(model="embedded")), "cpu")


def loaded(base: BaseModel, adapter: Adapter | None, batch_size: int = 4) -> IA2HF:
    model = base.model if adapter is None else attach(base.model, adapter, seed=0)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draws))
    return IA2HF(pretrained=model, tokenizer=base.tokenizer, batch_size=batch_size, softmax_dtype="float32")


def generate(lm: IA2HF, prompts: list[str], **settings: Any) -> list[str]:
    settings = {"until": ["\n\n"], "max_gen_toks": NEW_TOKENS, "do_sample": False} | settings
    return lm.generate_until([Instance("generate_until", {}, (prompt, settings), 0) for prompt in prompts])


@torch.no_grad()
def greedy(lm: IA2HF, prompt: str) -> str:
    """Without a cache, a batch or lm-eval."""
    ids = list(lm.tok_encode(prompt))
    start = len(ids)
    for _ in range(NEW_TOKENS):
        batch = make_batch([TokenSequence(tuple(ids), (0,))])
        ids.append(int(batch.logits(lm.model, 1).argmax()))
    text = lm.tok_decode(ids[start:], skip_special_tokens=False).split(lm.tokenizer.eos_token)[0]
    return str(text.split("\n\n")[0])


def test_a_local_model_is_known_by_what_runs_know_it_by(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hub:
        def model_info(self, repo_id: str, revision: str) -> SimpleNamespace:
            return SimpleNamespace(sha=f"commit of {repo_id}")

    monkeypatch.setattr("lm_eval.models.huggingface.HfApi", Hub)
    fingerprint = locate(Base(model="embedded")).base.fingerprint
    (tmp_path / "embedded").symlink_to(MODEL_DIRECTORY)
    (tmp_path / "without_weights").mkdir()
    monkeypatch.chdir(tmp_path)
    lm = loaded(base, None)
    for name, sha in {
        str(MODEL_DIRECTORY): fingerprint,
        "./embedded": fingerprint,
        "embedded": fingerprint,
        "without_weights": "",
        "org/model": "commit of org/model",
    }.items():
        lm.pretrained = name
        assert lm.get_model_info()["model_sha"] == sha
    assert lm.get_model_info()["model_dtype"] == torch.float32


@adapters
def test_a_batch_generates_what_each_prompt_does(base: BaseModel, adapter: Adapter | None) -> None:
    lm = loaded(base, adapter)
    assert len({len(lm.tok_encode(prompt)) for prompt in PROMPTS}) == len(PROMPTS)
    texts = generate(lm, PROMPTS)
    assert len(set(texts)) > 1 and any(texts)
    assert texts == [generate(lm, [prompt])[0] for prompt in PROMPTS]
    assert texts == [greedy(lm, prompt) for prompt in PROMPTS]


@pytest.mark.parametrize("adapter", [PromptAdapter(3), PrefixAdapter(3)], ids=repr)
def test_generation_behind_virtual_tokens_stops_where_it_should(base: BaseModel, adapter: Adapter) -> None:
    lm = loaded(base, adapter)
    texts = generate(lm, PROMPTS, until=["\x00"])
    first = next(text for text in texts if len(text) > 3)
    stop = first[1:3]
    assert generate(lm, PROMPTS, until=[stop]) == [text.split(stop)[0] for text in texts]
    lengths = [len(lm.tok_encode(text)) for text in generate(lm, PROMPTS, until=["\x00"], max_gen_toks=2)]
    assert max(lengths) == 2


@adapters
@torch.no_grad()
def test_log_likelihoods_are_those_of_the_training_code(base: BaseModel, adapter: Adapter | None) -> None:
    lm = loaded(base, adapter)
    pairs = [(prompt, label) for prompt in PROMPTS for label in LABELS]
    found = lm.loglikelihood([Instance("loglikelihood", {}, pair, 0) for pair in pairs])
    for (prompt, label), (log_likelihood, is_greedy) in zip(pairs, found, strict=True):
        context, continuation = lm._encode_pair(prompt, label)
        batch = make_batch([TokenSequence(tuple(context), tuple(continuation))])
        logits = batch.logits(lm.model, len(continuation))
        expected = cross_entropy(logits, batch.response_ids, batch.response_mask).item() * len(continuation)
        assert log_likelihood == pytest.approx(-expected, abs=1e-3)
        assert is_greedy == torch.equal(logits.argmax(-1), batch.response_ids)


@pytest.mark.parametrize("adapter", [None, PromptAdapter(3), PrefixAdapter(3)], ids=repr)
def test_virtual_tokens_take_room(base: BaseModel, adapter: Adapter | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = loaded(base, adapter)
    virtual = 0 if adapter is None else 3
    need = len(lm.tok_encode(PROMPTS[0])) + NEW_TOKENS + virtual
    monkeypatch.setattr(IA2HF, "max_length", property(lambda self: need))
    assert generate(lm, PROMPTS[:1])
    monkeypatch.setattr(IA2HF, "max_length", property(lambda self: need - 1))
    said = (
        f"8 tokens to generate{', behind 3 virtual tokens,' if virtual else ''} do not fit into the model's {need - 1}"
    )
    with pytest.raises(UserError, match=said):
        generate(lm, PROMPTS[:1])
    tokens = len(lm.tok_encode(PROMPTS[0] + LABELS[0])) + virtual
    monkeypatch.setattr(IA2HF, "max_length", property(lambda self: tokens - 2))  # the last is only predicted
    with pytest.raises(UserError, match="do not fit"):
        lm.loglikelihood([Instance("loglikelihood", {}, (PROMPTS[0], LABELS[0]), 0)])


SHOTS = "".join(f"{number} plus 2 is {number + 2}.\n\n" for number in range(30))


def test_adapters_are_switched_on_one_loaded_base(base: BaseModel) -> None:
    """Each evaluation reads the demonstrations under its own adapter."""
    model = attach(base.model, LoraAdapter(), seed=0)
    model.add_adapter("second", LoraAdapter().peft_config())
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=draws))
    lm, plain = (kind(pretrained=model, tokenizer=base.tokenizer, batch_size=4) for kind in (IA2HF, HFLM))
    requests = [Instance("loglikelihood", {}, (SHOTS + prompt, " 7"), 0) for prompt in PROMPTS]
    answers = []
    for adapter in ("default", "second", "default"):
        model.set_adapter(adapter)
        answers.append([answer[0] for answer in lm.loglikelihood(requests, disable_tqdm=True)])
        assert_same(lm.loglikelihood(requests, disable_tqdm=True), plain.loglikelihood(requests, disable_tqdm=True))
        settings = {"until": ["\n\n"], "max_gen_toks": NEW_TOKENS, "do_sample": False}
        texts = [Instance("generate_until", {}, (SHOTS + prompt, settings), 0) for prompt in PROMPTS]
        assert lm.generate_until(texts, disable_tqdm=True) == plain.generate_until(texts, disable_tqdm=True)
    assert answers[0] == answers[2]
    assert max(abs(one - other) for one, other in zip(answers[0], answers[1], strict=True)) > 0.05


def test_whether_a_model_shares_is_tried_once_and_never_behind_virtual_tokens(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    trial = ia2_hf.can_share_prefix
    monkeypatch.setattr(ia2_hf, "can_share_prefix", lambda model: tried.append(1) or trial(model))
    requests = [Instance("loglikelihood", {}, (SHOTS + prompt, " 7"), 0) for prompt in PROMPTS]
    lm = loaded(base, LoraAdapter())
    lm.loglikelihood(requests[:1], disable_tqdm=True)
    assert not tried  # nothing to share
    for _ in range(2):
        lm.loglikelihood(requests, disable_tqdm=True)
    assert len(tried) == 1
    loaded(load(locate(Base(model="embedded")), "cpu"), PromptAdapter(3)).loglikelihood(requests, disable_tqdm=True)
    assert len(tried) == 1


def test_other_settings_are_refused_behind_virtual_tokens(base: BaseModel) -> None:
    with pytest.raises(UserError, match="num_beams"):
        generate(loaded(base, PromptAdapter(3)), PROMPTS, num_beams=2)


def test_models_that_are_no_causal_ones_are_refused(hf: HFLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HFLM, "__init__", lambda self, *arguments, **settings: setattr(self, "backend", "seq2seq"))
    with pytest.raises(UserError, match="this is a seq2seq model: use --model hf"):
        IA2HF(pretrained="t5")


@pytest.mark.parametrize("end", [" 112", 300, "never"])
def test_what_a_model_thinks_aloud_is_no_answer(hf: HFLM, end: str | int) -> None:
    thinking = {"think_end_token": end}
    plain, lm = (kind(pretrained=hf.model, tokenizer=hf.tokenizer, **thinking) for kind in (HFLM, IA2HF))
    requests = [
        Instance("generate_until", {}, (prompt, {"until": ["Te"], "max_gen_toks": 20, "do_sample": False}), 0)
        for prompt in PROMPTS
    ]
    texts = lm.generate_until(requests, disable_tqdm=True)
    assert texts == plain.generate_until(requests, disable_tqdm=True)


def test_mixed_precision_is_no_coarser_than_that_of_hf(hf: HFLM) -> None:
    pairs = [(f"{SHOTS}{prompt} is", label) for prompt in PROMPTS for label in (" 7", " the fox")]
    requests = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
    exact = [answer[0] for answer in hf.loglikelihood(requests, disable_tqdm=True)]

    def error(kind: type[HFLM]) -> float:
        lm = kind(
            pretrained=hf.model, tokenizer=hf.tokenizer, mixed_precision_dtype="bfloat16", softmax_dtype="float32"
        )
        found = lm.loglikelihood(requests, disable_tqdm=True)
        return sum(abs(one[0] - other) for one, other in zip(found, exact, strict=True)) / len(exact)

    assert 0 < error(IA2HF) < 1.5 * error(HFLM)


def test_half_precision_is_summed_up_in_float32(hf: HFLM) -> None:
    model = tiny_models.language_model("qwen3", vocab_size=len(hf.tokenizer), head_dim=16).to(torch.bfloat16)
    requests = [Instance("loglikelihood", {}, (PROMPTS[0], " 7"), 0)]
    ((found, _),) = IA2HF(pretrained=model, tokenizer=hf.tokenizer).loglikelihood(requests, disable_tqdm=True)
    logits = model(torch.tensor([hf.tok_encode(PROMPTS[0])])).logits[0, -1]
    expected = logits.float().log_softmax(-1)[hf.tokenizer.encode(" 7")[0]].item()
    assert found == pytest.approx(expected, abs=1e-5)
    assert found != float(torch.tensor(found).bfloat16())


def test_where_tokens_end_never_goes_back() -> None:
    """A character of several tokens is shown as one sign for each of its bytes until it is whole."""
    tokenizer = tiny_models.metaspace(["3 plus 4 is 7"], cuts=True)
    model = tiny_models.language_model(vocab_size=len(tokenizer))
    lm = ours(HFLM(pretrained=model, tokenizer=tokenizer))
    text = lm._text(
        ia2_hf.Generated(tokenizer.encode("3 日 😀 4", add_special_tokens=False), [0.0] * 20),
        ia2_hf.TextEnd(tokenizer.decode, (), []),
    )
    assert isinstance(text, GeneratedText)
    assert list(text.token_ends) == sorted(text.token_ends)
    assert text.token_ends[-1] == len("3 日 😀 4")


def test_prompts_are_tokenised_once_for_all_adapters(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = HFLM.tok_encode
    monkeypatch.setattr(
        HFLM, "tok_encode", lambda lm, text, *rest, **more: asked.append(text) or encode(lm, text, *rest, **more)
    )
    pairs = [Instance("loglikelihood", {}, (prompt, LABELS[0]), 0) for prompt in PROMPTS]
    tokens: dict[str, list[int]] = {}
    first, second = (IA2HF(pretrained=base.model, tokenizer=base.tokenizer, tokens=tokens) for _ in range(2))
    answers = first.loglikelihood(pairs)
    assert sorted(asked) == sorted({text for pair in pairs for text in (pair.args[0], "".join(pair.args))})
    asked.clear()
    assert second.loglikelihood(pairs) == answers and not asked
    monkeypatch.setattr("ia2_eval.lm.ia2_hf.MOST_KEPT", 3)
    assert IA2HF(pretrained=base.model, tokenizer=base.tokenizer, tokens=tokens).loglikelihood(pairs) == answers
    assert len(tokens) <= 3


def test_texts_with_seeds_of_their_own_are_generated_together(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    plain = ia2_hf.generate

    def counted(model: PreTrainedModel, batch: Sequence[Sequence[int]], *rest: Any) -> list[Generated]:
        rows.append(len(batch))
        return plain(model, batch, *rest)

    monkeypatch.setattr(ia2_hf, "generate", counted)
    lm, settings = loaded(base, None), {"until": ["\n\n"], "max_gen_toks": 4, "do_sample": True, "temperature": 1.5}

    def texts(seeds: Sequence[int]) -> list[str]:
        asked = [(prompt, settings | {"seed": seed}) for prompt, seed in zip(PROMPTS, seeds, strict=False)]
        return lm.generate_until([Instance("generate_until", {}, each, 0) for each in asked])

    together = texts([1, 2, 3, 4])
    assert rows == [4]
    assert texts([1]) == together[:1] and texts([1, 5, 3, 4])[2:] == together[2:]
    assert texts([5, 6, 7, 8]) != together


def test_a_kept_prefix_is_read_once(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for prompts that have more in common, or of another set that begins alike; not for others, or once the model
    is about to change."""
    read: list[int] = []
    plain = SharedPrefix.read

    def counted(model: PreTrainedModel, token_ids: Sequence[int]) -> SharedPrefix:
        read.append(len(token_ids))
        return plain(model, token_ids)

    monkeypatch.setattr(SharedPrefix, "read", counted)
    lm = IA2HF(pretrained=base.model, tokenizer=base.tokenizer, batch_size=4, shares_prefix=True, keep_prefix=True)
    forgetful = IA2HF(pretrained=base.model, tokenizer=base.tokenizer, batch_size=4)
    shown = "3 plus 4 is 7.\n\n" * 20

    def prompts(before: str) -> list[str]:
        return [f"{before}{number} plus 2 is" for number in (1, 2, 5)]

    expected = {before: generate(forgetful, prompts(before)) for before in (shown, f"{shown}9 minus ", shown[6:])}
    read.clear()
    for before, times in ((shown, 1), (shown, 0), (f"{shown}9 minus ", 0), (shown[6:], 1), (shown, 1)):
        assert generate(lm, prompts(before)) == expected[before]
        assert len(read) == times
        read.clear()
    lm.forget_prefix()
    assert generate(lm, prompts(shown)) == expected[shown] and len(read) == 1
