"""`ia2-hf` against lm-eval's own `hf` on the same model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from ia2_eval.errors import UserError
from ia2_eval.lm import batches, ia2_hf
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import scored_end
from ia2_eval.scoring.model_answers import GeneratedText, LogLikelihood
from tests.lm import tiny_models
from tests.lm.equality import assert_same, ours

SHOTS = "".join(f"Text: the story {i} of the fox, number {i * i}\nLabel: {'AB'[i % 2]}\n\n" for i in range(9))


def asked(pairs: Sequence[tuple[str, ...]], kind: str = "loglikelihood", task: str | None = "t") -> list[Instance]:
    return [Instance(kind, {}, pair, place, metadata=(task, place, 1)) for place, pair in enumerate(pairs)]


def mixed_requests() -> list[Instance]:
    """Of several tasks, in turns: labels of one token, longer ones, one that begins another, contexts of any kind."""
    several = [
        *((f"{SHOTS}Text: {text}\nLabel:", label) for text in ("a fox", "the 17 stories") for label in (" A", " B")),
        (f"{SHOTS}Text: a fox\nLabel:", " A story of the fox"),
        (f"{SHOTS}Text: a fox\nLabel:", " A story"),
        (f"{SHOTS}Text: a fox\nLabel:", " A"),  # again
        (f"{SHOTS}Text: a fox\nLabel: ", "A"),  # a space at the end
        (f"{SHOTS}Text: a fox\nLabel:\n  ", "A"),
        (SHOTS, "Text: é 日本 "),
        (f"{SHOTS}Text: a fox", "\nLabel: A"),  # which the next one continues
        (f"{SHOTS}Text: a fox\nLabel:", " B or"),
    ]
    short = [("", "the fox"), ("", " A"), ("the", " fox"), ("the", " fox is 17"), ("x " * 80, "y")]
    tasks = [asked(several, task="several"), asked(short, task="short"), asked(several[:3], task=None)]
    longest = max(map(len, tasks))
    return [task[place] for place in range(longest) for task in tasks if place < len(task)]


@pytest.fixture(scope="session")
def expected(hf: HFLM) -> list[tuple[float, bool]]:
    """One by one: of requests that are the same tokens, otherwise divided, lm-eval's `hf` mixes up the positions."""
    return [hf.loglikelihood([request], disable_tqdm=True)[0] for request in mixed_requests()]


@pytest.mark.parametrize("batch_size", [1, 3, 32, "auto"])
def test_log_likelihoods(hf: HFLM, expected: list[tuple[float, bool]], batch_size: int | str) -> None:
    found = ours(hf, batch_size).loglikelihood(mixed_requests(), disable_tqdm=True)
    assert_same(found, expected)
    assert all(isinstance(answer, LogLikelihood) for answer in found)


def test_greedy_continuations_are_told(hf: HFLM) -> None:
    pairs = [
        (f"{SHOTS}Text: {number}", hf.tokenizer.decode([first_token(hf, f"{SHOTS}Text: {number}")]))
        for number in range(9)
    ]
    pairs += [(context, label + "!") for context, label in pairs]
    found = ours(hf).loglikelihood(asked(pairs), disable_tqdm=True)
    assert_same(found, hf.loglikelihood(asked(pairs), disable_tqdm=True))
    assert {answer[1] for answer in found} == {True, False}


@pytest.mark.parametrize("shares", [True, False])
def test_with_and_without_a_shared_prefix(
    hf: HFLM, expected: list[tuple[float, bool]], shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes: list[int] = []
    read = ia2_hf.SharedPrefix.read
    monkeypatch.setattr(ia2_hf, "can_share_prefix", lambda model: shares)
    monkeypatch.setattr(ia2_hf.SharedPrefix, "read", lambda model, ids: prefixes.append(len(ids)) or read(model, ids))
    assert_same(ours(hf).loglikelihood(mixed_requests(), disable_tqdm=True), expected)
    assert (len(prefixes) == 2 and min(prefixes) > 100) if shares else not prefixes  # the tasks with demonstrations


@pytest.mark.parametrize("pair", [("the fox", ""), ("the ####", " 5"), ("\n", "A"), ("", "<eos>")], ids=str)
def test_nothing_to_condition_on_or_to_score_is_refused(hf: HFLM, pair: tuple[str, str]) -> None:
    """Without the check, a label that is no token of its own had the probability 1."""
    assert len(hf.tok_encode("the #### 5")) <= len(hf.tok_encode("the ####"))
    with pytest.raises(AssertionError):
        hf.loglikelihood(asked([pair]), disable_tqdm=True)
    for requests in (asked([pair]), asked([pair, ("the", " fox")])):
        with pytest.raises(UserError, match="no token"):
            ours(hf).loglikelihood(requests, disable_tqdm=True)


def test_no_requests(hf: HFLM) -> None:
    lm = ours(hf)
    assert lm.loglikelihood([]) == lm.generate_until([]) == lm.loglikelihood_rolling([]) == []


@pytest.mark.parametrize("batch_size", [1, 3])
def test_rolling_log_likelihoods(hf: HFLM, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HFLM, "max_length", property(lambda self: 50))  # several windows for the longer texts
    texts = asked([(SHOTS,), ("the fox",), (SHOTS + "and more",), ("é",)], "loglikelihood_rolling")
    found = ours(hf, batch_size).loglikelihood_rolling(texts, disable_tqdm=True)
    assert found == pytest.approx(hf.loglikelihood_rolling(texts, disable_tqdm=True), abs=5e-4, rel=0)


@torch.no_grad()
def test_the_next_token_is_that_of_the_whole_vocabulary(hf: HFLM) -> None:
    pairs = [(f"{SHOTS}Text: {text}\nLabel:", label) for text in ("a fox", "b") for label in (" A", " Again and")]
    for (context, _), answer in zip(pairs, ours(hf).loglikelihood(asked(pairs), disable_tqdm=True), strict=True):
        logits = hf.model(torch.tensor([hf.tok_encode(context)])).logits[0, -1]
        top = logits.log_softmax(-1).sort(descending=True)
        assert isinstance(answer, LogLikelihood)
        assert answer.next_token.text == hf.tokenizer.decode(top.indices[:1])
        assert answer.next_token.top_log_probabilities == pytest.approx(top.values[:10].tolist(), abs=1e-4)


PROMPTS = [f"{SHOTS}Text: {text}\nLabel:" for text in ("a fox", "the 17 stories", "b", "", "the story of the fox")]


def texts_of(
    lm: HFLM, prompts: Sequence[str] = PROMPTS, doc: dict[str, str] | None = None, **settings: Any
) -> list[str]:
    settings = {"until": ["\n\nText:"], "max_gen_toks": 24, "do_sample": False} | settings
    return [
        str(text)
        for text in lm.generate_until(
            [
                Instance("generate_until", doc or {}, (prompt, settings), place, metadata=("t", place, 1))
                for place, prompt in enumerate(prompts)
            ],
            disable_tqdm=True,
        )
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 32, "auto"])
def test_generated_texts(hf: HFLM, batch_size: int | str) -> None:
    found = texts_of(ours(hf, batch_size))
    assert found == texts_of(hf)
    assert len(set(found)) == len(PROMPTS)


@pytest.mark.parametrize(
    "settings",
    [
        {"until": "2"},
        {"until": ["#### ", "1", " the"]},
        {"max_gen_toks": 1},
        {"max_new_tokens": 5, "max_gen_toks": None},
        {"repetition_penalty": 1.3, "prompts": PROMPTS[:1]},  # padding counts as text there
        {"do_sample": True, "temperature": 1.0, "top_k": 1},
        {"num_beams": 2, "max_gen_toks": 6},
        {"no_repeat_ngram_size": 2},
    ],
    ids=str,
)
def test_generated_texts_with_other_settings(hf: HFLM, settings: dict[str, Any]) -> None:
    found = texts_of(ours(hf), **settings)
    assert found == texts_of(hf, **settings)
    same = settings.keys() <= {"top_k", "temperature", "do_sample"}  # the most probable of one is no draw
    assert (found == texts_of(hf, prompts=settings.get("prompts", PROMPTS))) == same


def test_unknown_settings_are_left_to_hf(hf: HFLM, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    generate = HFLM._model_generate
    monkeypatch.setattr(
        HFLM, "_model_generate", lambda self, **settings: seen.append(settings) or generate(self, **settings)
    )
    texts_of(ours(hf))
    assert not seen
    texts_of(ours(hf), num_beams=2, max_gen_toks=3)
    assert [settings["num_beams"] for settings in seen] == [2, 2]  # batches


@pytest.mark.parametrize("kind", ["eos", "several"])
def test_end_tokens_end_texts(hf: HFLM, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    free = texts_of(hf)
    prompts = [torch.tensor([hf.tok_encode(prompt)]) for prompt in PROMPTS]
    ends = [int(hf.model.generate(ids, max_new_tokens=4 + place)[0, -1]) for place, ids in enumerate(prompts)]
    monkeypatch.setattr(hf.model.generation_config, "eos_token_id", ends[0] if kind == "eos" else ends)
    found = texts_of(ours(hf))
    assert found == texts_of(hf)
    assert any(len(text) < len(longer) for text, longer in zip(found, free, strict=True))


@pytest.mark.parametrize(
    ("answer_format", "protocol"), [("hash_line", "strict"), ("boxed", "strict"), ("hash_line", "paper")]
)
def test_texts_of_our_tasks_end_at_the_first_answer(hf: HFLM, answer_format: str, protocol: Protocol) -> None:
    prompts = [f"{SHOTS}Text: {number}\nLabel:" for number in range(12)]
    doc = {"answer_format": answer_format, "protocol": protocol}
    settings = {"doc": doc, "max_gen_toks": 60, "until": ["\n\nText:"]}
    longer, end = texts_of(hf, prompts, **settings), scored_end(answer_format, protocol)
    assert texts_of(ours(hf), prompts, **settings) == [text[: end(text)] for text in longer]
    assert any(end(text) is not None for text in longer)


def test_a_text_carries_its_tokens(hf: HFLM) -> None:
    requests = [Instance("generate_until", {}, (prompt, {"until": ["e"], "max_gen_toks": 30}), 0) for prompt in PROMPTS]
    for text, prompt in zip(ours(hf).generate_until(requests, disable_tqdm=True), PROMPTS, strict=True):
        assert isinstance(text, GeneratedText)
        assert len(text.token_ends) == len(text.token_log_likelihoods) > 0
        assert sorted(text.token_ends) == list(text.token_ends) and text.token_ends[-1] >= len(text)
        ((log_likelihood, _),) = hf.loglikelihood(
            asked([(prompt, hf.tokenizer.decode([first_token(hf, prompt)]))]), True
        )
        assert text.token_log_likelihoods[0] == pytest.approx(log_likelihood, abs=1e-4)


@torch.no_grad()
def first_token(hf: HFLM, prompt: str) -> int:
    return int(hf.model(torch.tensor([hf.tok_encode(prompt)])).logits[0, -1].argmax())


def out_of_memory_beyond(rows: int, work: Any, sizes: list[int], place: int = 1) -> Any:
    """The same work, which fails with more rows; they are its argument `place`."""

    def limited(*arguments: Any, **settings: Any) -> Any:
        sizes.append(len(arguments[place]))
        if sizes[-1] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return work(*arguments, **settings)

    return limited


def test_a_batch_that_does_not_fit_is_halved(
    hf: HFLM, expected: list[tuple[float, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    freed: list[int] = []
    monkeypatch.setattr(batches, "clear_torch_cache", lambda: freed.append(sizes[-1]))
    monkeypatch.setattr(ia2_hf, "Reading", out_of_memory_beyond(2, ia2_hf.Reading, sizes))
    assert_same(ours(hf, 8).loglikelihood(mixed_requests(), disable_tqdm=True), expected)
    assert sizes[:4] == [7, 4, 2, 2]  # the first task has seven different rows
    monkeypatch.setattr(ia2_hf, "generate", out_of_memory_beyond(1, ia2_hf.generate, sizes))
    assert texts_of(ours(hf, 8)) == texts_of(hf)
    sizes.clear()
    monkeypatch.setattr(ia2_hf, "Reading", out_of_memory_beyond(0, ia2_hf.Reading, sizes))
    with pytest.raises(torch.OutOfMemoryError):
        ours(hf, 8).loglikelihood(mixed_requests(), disable_tqdm=True)
    assert sizes == [7, 4, 2, 1] and freed[-3:] == [7, 4, 2]


def test_a_prompt_that_is_too_long_is_refused(hf: HFLM, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = ours(hf)
    tokens = len(lm.tok_encode(PROMPTS[0]))
    monkeypatch.setattr(HFLM, "max_length", property(lambda self: tokens + 4))
    assert texts_of(lm, PROMPTS[:1], max_gen_toks=4) == texts_of(hf, PROMPTS[:1], max_gen_toks=4)
    with pytest.raises(UserError, match=f"A prompt of {tokens} tokens and 5 tokens to generate do not fit"):
        texts_of(lm, PROMPTS[:1], max_gen_toks=5)
    with pytest.raises(UserError, match="do not fit"):
        lm.loglikelihood(asked([(PROMPTS[0], " A" * 9)]), disable_tqdm=True)


@pytest.mark.parametrize("template", ["<eos> $A", "$A <eos>"])
def test_tokenizers_that_add_tokens(hf: HFLM, template: str) -> None:
    tokenizer = tiny_models.with_special(hf.tokenizer, template)
    plain = HFLM(pretrained=hf.model, tokenizer=tokenizer, batch_size=4)
    pairs = [(prompt, label) for prompt in PROMPTS for label in (" A", " a fox")]
    assert len(tokenizer.encode("a")) == 2
    if template.startswith("<eos>"):
        assert_same(ours(plain).loglikelihood(asked(pairs)), plain.loglikelihood(asked(pairs)))
    assert texts_of(ours(plain)) == texts_of(plain)


@pytest.mark.parametrize(
    "setting", [{"add_bos_token": True}, {"add_bos_token": False}, {"prefix_token_id": 3}], ids=str
)
def test_settings_of_hf(hf: HFLM, setting: dict[str, Any]) -> None:
    bos = tiny_models.with_special(hf.tokenizer, "<eos> $A")
    plain = HFLM(pretrained=hf.model, tokenizer=bos, batch_size=4, **setting)
    lm = IA2HF(pretrained=hf.model, tokenizer=bos, batch_size=4, **setting)
    requests = mixed_requests()[:8]
    assert_same(lm.loglikelihood(requests, True), [plain.loglikelihood([request], True)[0] for request in requests])
