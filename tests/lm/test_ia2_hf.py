from __future__ import annotations

from typing import Any

import pytest
import torch
from ia2_training.adapters import Adapter, FullFineTuning, LoraAdapter, PrefixAdapter, PromptAdapter
from ia2_training.attach import attach
from ia2_training.batches import TokenSequence, make_batch
from ia2_training.losses import cross_entropy
from lm_eval.api.instance import Instance

from ia2_eval.lm.base_model import Base, BaseModel, load, locate
from ia2_eval.lm.ia2_hf import IA2HF

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
    with pytest.raises(ValueError, match=said):
        generate(lm, PROMPTS[:1])
    tokens = len(lm.tok_encode(PROMPTS[0] + LABELS[0])) + virtual
    monkeypatch.setattr(IA2HF, "max_length", property(lambda self: tokens - 2))  # the last is only predicted
    with pytest.raises(ValueError, match="do not fit"):
        lm.loglikelihood([Instance("loglikelihood", {}, (PROMPTS[0], LABELS[0]), 0)])
