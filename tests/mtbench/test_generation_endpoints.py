"""Models that do not answer in this process, and models that were trained to chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.conversation import ChatConversation
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import ModelSettings, open_model
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.prompt_set import PromptSet

EMPTY = PromptSet(name="empty", text="")


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint that answers with the length of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append(payload)
                prompts = payload.get("prompt")
                if prompts is None:
                    said = f"{len(payload['messages'])} messages"
                    choices = [{"index": 0, "message": {"role": "assistant", "content": said}}]
                else:
                    prompts = [prompts] if isinstance(prompts, str) else prompts
                    choices = [
                        {"index": i, "text": f"{len(prompt)} characters\n```\n"} for i, prompt in enumerate(prompts)
                    ]
                body = json.dumps({"choices": choices}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


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


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"backend": "hff"}, "Did you mean 'hf'"),
        ({"backend": "local-completions"}, "base_url=http"),
        ({"backend": "local-chat-completions"}, "add --chat"),
        ({"backend": "openai-completions"}, "OPENAI_API_KEY"),
        ({"base": "./missing"}, "no model directory"),
        ({"chat": True}, "has no chat template"),
    ],
)
def test_models_that_cannot_be_had(chosen: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match=said):
        open_model(ModelSettings.model_validate(chosen), device="cpu")


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
