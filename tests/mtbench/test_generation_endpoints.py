"""Models that do not answer in this process, and models that were trained to chat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answers import read_answers
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.conversation import ChatConversation
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import ModelSettings, open_model
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.generation.texts import Text, TextLedger
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question
from tests.mtbench.answering_endpoint import Endpoint, answering

EMPTY = PromptSet(name="empty", text="")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with answering() as server:
        yield server


def settings(endpoint: Endpoint, backend: str, path: str, **more: Any) -> ModelSettings:
    arguments = {"base_url": f"{endpoint.address}/{path}", "max_retries": 1}
    return ModelSettings(backend=backend, base="some/model", model_args=arguments | more, chat="chat" in backend)


def test_a_completions_endpoint_answers_both_turns(endpoint: Endpoint, trial_bench: Bench, tmp_path: Path) -> None:
    model = open_model(settings(endpoint, "local-completions", "completions", num_concurrent=4))
    questions = trial_bench.questions[:3]
    decoding = DecodingSettings(temperature=0.7, top_k=9, max_new_tokens=32, samples=2)
    answers = generate_answers(model, questions, EMPTY, decoding, Layout(tmp_path), "m")
    for question, answer in zip(questions, answers, strict=True):
        first = f"{len(EMPTY.prompt(question.turns[:1]))} characters"
        second = f"{len(EMPTY.prompt(question.turns, [first]))} characters"
        assert [choice.turns for choice in answer.choices] == [(first, second)] * 2
        assert answer.choices[0].tokens == (None, None) and answer.choices[0].truncated == (None, None)
    assert len(endpoint.asked) == 12
    for payload in endpoint.asked:
        assert payload["model"] == "some/model" and payload["max_tokens"] == 32
        assert payload["temperature"] == 0.7 and payload["top_k"] == 9
        assert "\n# Query:\n" in payload["stop"]
    assert len({payload["seed"] for payload in endpoint.asked}) == 4  # of each sample and turn


def test_a_chat_endpoint_gets_the_conversation(endpoint: Endpoint, trial_bench: Bench, tmp_path: Path) -> None:
    model = open_model(settings(endpoint, "local-chat-completions", "chat/completions"))
    decoding = DecodingSettings(max_new_tokens=32)
    answers = generate_answers(model, trial_bench.questions[:2], None, decoding, Layout(tmp_path), "m")
    assert [answer.choices[0].turns for answer in answers] == [("1 messages", "3 messages")] * 2
    last = endpoint.asked[-1]["messages"]
    assert [message["role"] for message in last] == ["user", "assistant", "user"]
    assert last[1]["content"] == "1 messages"


def test_an_endpoint_that_is_gone(endpoint: Endpoint, trial_bench: Bench, tmp_path: Path) -> None:
    model = open_model(settings(endpoint, "local-completions", "completions"))
    generate_answers(model, trial_bench.questions[:1], EMPTY, DecodingSettings(), Layout(tmp_path), "m")
    endpoint.shutdown()
    endpoint.server_close()
    with pytest.raises(UserError, match=r"does not answer: .* the same command continues"):
        generate_answers(model, trial_bench.questions[:2], EMPTY, DecodingSettings(), Layout(tmp_path), "m")


def test_a_prompt_of_any_length_arrives_whole(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval's `openai-completions` cuts the beginning off where it tokenises, at 2048 tokens with the answer."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    model = open_model(settings(endpoint, "openai-completions", "completions"))
    long = PromptSet(name="long", text="# Query:\n" + "word " * 5000 + "\n")
    question = Question(question_id=1, category="math", turns=("1 + 1",))
    generate_answers(model, [question], long, DecodingSettings(max_new_tokens=2048), Layout(tmp_path), "m")
    assert endpoint.asked[0]["prompt"] == long.prompt(question.turns)


def test_a_chat_endpoint_is_sent_a_stop_string(
    endpoint: Endpoint, trial_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI refuses an empty list of them."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    for number in (1, 2):
        chosen = settings(endpoint, "openai-chat-completions", "chat/completions", num_concurrent=number)
        model = open_model(chosen.model_copy(update={"base": "gpt-4"}))
        layout = Layout(tmp_path / str(number))
        generate_answers(model, trial_bench.questions[:1], None, DecodingSettings(), layout, "m")
    assert len(endpoint.asked) == 4 and all(payload["stop"] == ["<|endoftext|>"] for payload in endpoint.asked)
    assert {payload["temperature"] for payload in endpoint.asked} == {0}


@pytest.mark.parametrize("concurrent", [1, 3])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((401, {"error": {"message": "wrong key"}}), "401"),
        ((500, {"error": "overloaded"}), "500"),
        ((200, {"error": "no such model"}), "KeyError: 'choices'"),
    ],
)
def test_an_endpoint_that_fails_ends_the_run_and_the_texts_are_kept(
    endpoint: Endpoint, trial_bench: Bench, tmp_path: Path, fault: Any, said: str, concurrent: int
) -> None:
    endpoint.fault, endpoint.faults_after = fault, 3
    layout = Layout(tmp_path)
    model = open_model(settings(endpoint, "local-completions", "completions", num_concurrent=concurrent))
    with pytest.raises(UserError, match=rf"does not answer: .*{said}.*the same command continues") as error:
        generate_answers(model, trial_bench.questions[:8], EMPTY, DecodingSettings(), layout, "m")
    assert "\n" not in str(error.value)
    assert concurrent > 1 or "wrong key" in str(error.value) or fault[0] != 401
    kept = len(layout.texts("m").read_bytes().splitlines())
    assert kept == 3 or (concurrent > 1 and kept < 3)  # a reply may be on its way when another request fails
    endpoint.fault = None
    # Resumed in another way, which decides no answer.
    again = open_model(settings(endpoint, "local-completions", "completions", num_concurrent=2, timeout=9))
    lines: list[str] = []
    generate_answers(again, trial_bench.questions[:8], EMPTY, DecodingSettings(), layout, "m", say=lines.append)
    assert lines[0] == f"m: turn 1, {8 - kept} texts" + (f", {kept} of 8 are there" if kept else "")
    assert len(read_answers(layout.answers("m"))) == 8


@pytest.mark.parametrize("concurrent", [1, 2])
def test_a_full_disk_ends_the_run_at_once(
    endpoint: Endpoint, trial_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrent: int
) -> None:
    """Nothing is asked for again: it would be paid for twice."""

    def full(ledger: TextLedger, text: Text) -> None:
        raise UserError("no space left")

    monkeypatch.setattr(TextLedger, "add", full)
    chosen = settings(endpoint, "local-completions", "completions", num_concurrent=concurrent, max_retries=3)
    with pytest.raises(UserError, match="no space left"):
        generate_answers(open_model(chosen), trial_bench.questions, EMPTY, DecodingSettings(), Layout(tmp_path), "m")
    prompts = [payload["prompt"] for payload in endpoint.asked]
    assert len(prompts) == len(set(prompts)) < 5


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"backend": "hff"}, "Did you mean 'hf'"),
        ({"backend": "local-completions"}, "base_url=http"),
        ({"backend": "local-chat-completions"}, "add --chat"),
        ({"backend": "openai-completions"}, "OPENAI_API_KEY"),
        ({"backend": "local-completions", "chat": True}, "for --chat use local-chat-completions"),
        ({"backend": "local-completions", "revision": "main"}, "revision without effect"),
        ({"backend": "hf", "model_args": {"batch_size": 4}}, "model_args batch_size: say it by"),
        ({"model_args": {"max_length": "long"}}, "cannot do with model_args .*'long'"),
        ({"model_args": {"max_lenght": 9}}, "ia2-hf has no use for it. Did you mean 'max_length'"),
        ({"backend": "local-completions", "model_args": {"auth_token": "x"}}, "has no use for it"),
        (
            {"backend": "local-completions", "model_args": {"base_url": "http://x", "num_concurrent": "x"}},
            "cannot do with model_args .*invalid literal",
        ),
        ({"base": "./missing"}, "no model directory"),
        ({"chat": True}, "has no chat template"),
    ],
)
def test_models_that_cannot_be_had(chosen: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match=said):
        open_model(ModelSettings.model_validate(chosen))


def test_a_chat_model_is_asked_through_its_template(trial_bench: Bench, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from ia2_eval.embedded import MODEL_DIRECTORY

    directory = tmp_path / "chat"
    directory.mkdir()
    for name in ("config.json", "model.safetensors"):
        (directory / name).symlink_to(MODEL_DIRECTORY / name)
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIRECTORY)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    tokenizer.save_pretrained(directory)
    model = open_model(ModelSettings(base=str(directory), chat=True), device="cpu")
    conversation = ChatConversation(model.lm)
    assert conversation.prompt(["a"], []) == "<user>a\n<assistant>"
    assert conversation.prompt(["a", "c"], ["b"]) == "<user>a\n<assistant>b\n<user>c\n<assistant>"
    decoding = DecodingSettings(max_new_tokens=4)
    answers = generate_answers(model, trial_bench.questions[:2], None, decoding, Layout(tmp_path / "out"), "m")
    assert len(answers) == 2 and all(len(answer.choices[0].turns) == 2 for answer in answers)
