"""An OpenAI-compatible endpoint that answers with the length of what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Endpoint(ThreadingHTTPServer):
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.fault: tuple[int, dict[str, Any]] | None = None
        """What is replied instead, and with which status."""
        self.faults_after = 0
        """Requests that are answered before."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append(payload)
                status, reply = 200, {"choices": choices(payload)}
                if endpoint.fault is not None and len(endpoint.asked) > endpoint.faults_after:
                    status, reply = endpoint.fault
                body = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *arguments: Any) -> None:
        """Say nothing of a client that hung up."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


def choices(payload: dict[str, Any]) -> list[dict[str, Any]]:
    prompts = payload.get("prompt")
    if prompts is None:
        said = f"{len(payload['messages'])} messages"
        return [{"index": 0, "message": {"role": "assistant", "content": said}}]
    prompts = [prompts] if isinstance(prompts, str) else prompts
    return [{"index": i, "text": f"{len(prompt)} characters\n```\n"} for i, prompt in enumerate(prompts)]


@contextmanager
def answering() -> Iterator[Endpoint]:
    with Endpoint() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
