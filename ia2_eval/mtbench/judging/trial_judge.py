"""A judge for trials and tests: a server on this machine that speaks OpenAI's interface and judges nothing."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any

SERVED_BY = "trial-judge"

_ANSWER = re.compile(r"<answer[^>]*>|ASSISTANT(?: [AB])?:|### Assistant [AB]:|Assistant(?: [AB])?'s Answer\]")
_SECOND = re.compile(r"<(?:answer of|conversation with) assistant B>|Start of Assistant B's")


class TrialJudge:
    """Serves `/v1/chat/completions` at `url` within its context.

    Ratings depend on nothing but the prompt: half on how many different words the answer has, half on chance, by a hash
    of the prompt. Verdicts prefer the answer with more different words. They are for trying things out.
    """

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.judge = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> TrialJudge:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def respond(self, request: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        send(handler, 200, completion(request, reply(request["messages"])))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    judge: TrialJudge

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing where whoever asked has gone away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait for the first
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            send(self, 404, {"error": {"message": f"there is no {self.path}"}})
            return
        self.server.judge.respond(json.loads(body), self)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the run tells what there is to tell."""


def send(
    handler: BaseHTTPRequestHandler, status: int, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None
) -> None:
    """Send JSON, or bytes that are said to be JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def completion(request: dict[str, Any], text: str | None, **choice: Any) -> dict[str, Any]:
    """A chat completion with this text; tokens are counted as words."""
    words = sum(len(message["content"].split()) for message in request["messages"])
    return {
        "id": "trial",
        "object": "chat.completion",
        "created": 0,
        "model": SERVED_BY,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}, **choice},
        ],
        "usage": {
            "prompt_tokens": words,
            "completion_tokens": len((text or "").split()),
            "total_tokens": words + len((text or "").split()),
        },
    }


def reply(messages: list[dict[str, str]]) -> str:
    """What the trial judge says to a prompt."""
    prompt = messages[-1]["content"]
    said = "This is the trial judge: it has read nothing, and its opinion means nothing."
    if second := _SECOND.search(prompt):
        words = _different_words(prompt[: second.start()]), _different_words(prompt[second.end() :])
        verdict = "C" if words[0] == words[1] else "A" if words[0] > words[1] else "B"
        return f"{said} Different words: {words[0]} and {words[1]}. [[{verdict}]]"
    return f"{said} Rating: [[{rating(messages):g}]]"


def rating(messages: list[dict[str, str]]) -> float:
    """From 1 to 10 by halves."""
    chance = int.from_bytes(hashlib.sha256(json.dumps(messages).encode()).digest()[:4], "big") % 10
    words = min(_different_words(messages[-1]["content"]), 80) * 9 // 80
    return 1 + (chance + words) / 2


def _different_words(prompt: str) -> int:
    return len(set(_ANSWER.split(prompt)[-1].lower().split()))
