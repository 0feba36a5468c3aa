"""The trial judge with faults: which one comes, and how often, is decided by the prompt and a seed alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from ia2_eval.mtbench.judging.trial_judge import TrialJudge, completion, rating, reply, send

STALL = 2.0
"""Time-out of tests in which the judge stalls: longer than a reply takes on a busy machine."""
Fault = Callable[[dict[str, Any], BaseHTTPRequestHandler], None]


def _cut(request: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def _cut_in_body(request: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message": {"content": "Rating: [[1]]"}')
    handler.wfile.flush()
    _cut(request, handler)


def _stall(request: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
    time.sleep(STALL + 0.3)
    handler.close_connection = True


def _error(status: int, message: str = "not now", headers: dict[str, str] | None = None, **error: Any) -> Fault:
    body = {"error": {"message": message, **error}}
    return lambda request, handler: send(handler, status, body, headers)


def _body(content: bytes) -> Fault:
    return lambda request, handler: send(handler, 200, content)


def _text(text: str | None, **choice: Any) -> Fault:
    return lambda request, handler: send(handler, 200, completion(request, text, **choice))


def _refusal(request: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    send(handler, 200, completion(request, None, message=message))


PASSING: Mapping[str, Fault] = {
    "408": _error(408),
    "409": _error(409),
    "429": _error(429),
    "429 with Retry-After": _error(429, headers={"Retry-After": "0.01"}),
    "429 with retry-after-ms": _error(429, headers={"retry-after-ms": "10"}),
    "500": _error(500),
    "502, no JSON": lambda request, handler: send(handler, 502, b"<html>Bad gateway</html>"),
    "503": _error(503),
    "stall": _stall,
    "cut": _cut,
    "cut in the body": _cut_in_body,
    "empty": _body(b""),
    "half of JSON": _body(b'{"choices": [{"message": {"content": "Rating: [[1]]"'),
    "no JSON": _body(b"Rating: [[1]]"),
    "no UTF-8": _body(b'{"choices": [{"message": {"content": "\xff [[1]]"}}]}'),
    "no choices": _body(b'{"object": "chat.completion", "model": "trial-judge"}'),
    "empty choices": _body(b'{"choices": [], "model": "trial-judge"}'),
    "null": _body(b"null"),
    "a list": _body(b"[]"),
    "another shape": _body(b'{"choices": [{"text": "Rating: [[1]]"}]}'),
    "content of another type": _body(b'{"choices": [{"message": {"content": {"rating": 1}}}]}'),
}
"""These are got over by asking again, as often as it takes."""
UNREAD: Mapping[str, Fault] = {
    "no rating": _text("I would give it a good mark."),
    "0": _text("Rating: [[0]]"),
    "11": _text("Rating: [[11]]"),
    "a range": _text("Rating: [[3]], or rather [[6-7]]"),
    "a footnote": _text("As said elsewhere [3]."),
    "cut off": _text("The form is [[5]], so", finish_reason="length"),
}
"""These have no rating; the judge is asked once more."""
REFUSED: Mapping[str, Fault] = {
    "refusal": _refusal,
    "filter": _text("", finish_reason="content_filter"),
    "filter with text": _text("Rating: [[2]]", finish_reason="content_filter"),
    "nothing": _text(""),
    "blank": _text(" \n"),
    "null content": _text(None),
}
"""So have these."""
DECLINED: Mapping[str, Fault] = {
    "400": _error(400, "maximum context length", code="context_length_exceeded"),
    "413": _error(413),
    "422": _error(422),
}
"""Only this request is not taken."""
STOPPING: Mapping[str, Fault] = {
    "401": _error(401),
    "403": _error(403),
    "404": _error(404, "no such model", code="model_not_found"),
    "402": _error(402, "Insufficient Balance"),
    "no quota": _error(429, code="insufficient_quota"),
    "a long wait": _error(429, headers={"Retry-After": "86400"}),
}
"""No request will be answered."""
FAULTS = {**PASSING, **UNREAD, **REFUSED, **DECLINED, **STOPPING}
STATUS = {
    **dict.fromkeys(UNREAD, "unparseable"),
    **dict.fromkeys(REFUSED, "refused"),
    **dict.fromkeys(DECLINED, "no_answer"),
}

Script = Sequence[str]
"""Names of the faults that a prompt meets, in order; afterwards it is answered."""


class FaultyJudge(TrialJudge):
    """Counts what it did, and knows what should come of every prompt."""

    def __init__(self, script: Callable[[str], Script], pause: float = 0.0) -> None:
        """`script` is given a sha256 of the messages. `pause`: seconds before each proper answer."""
        super().__init__()
        self.script = script
        self.pause = pause
        self.seen: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.keys: set[str | None] = set()
        self.bodies: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.times: list[float] = []
        self._lock = threading.Lock()

    def forget(self) -> None:
        """As if it had just been started."""
        self.seen.clear()
        self.served.clear()

    def respond(self, request: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
        prompt = digest(request["messages"])
        with self._lock:
            number = self.seen[prompt]
            self.seen[prompt] += 1
            self.keys.add(handler.headers.get("Authorization"))
            self.bodies.append(request)
            self.times.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        script = self.script(prompt)
        try:
            if number < len(script):
                with self._lock:
                    self.served[script[number]] += 1
                FAULTS[script[number]](request, handler)
            else:
                time.sleep(self.pause)
                super().respond(request, handler)
        finally:
            with self._lock:
                self.at_once -= 1

    @property
    def requests(self) -> int:
        return sum(self.seen.values())


def digest(messages: Sequence[Mapping[str, str]]) -> str:
    return hashlib.sha256(json.dumps(list(messages)).encode()).hexdigest()


def expected(script: Script, messages: Sequence[Mapping[str, str]], retries: int) -> tuple[str, float, str, int]:
    """Status, score, text and number of requests that must come of a script; told from the script, not by the judge."""
    unread, tries = 0, 0
    for number, fault in enumerate(script, start=1):
        if fault in PASSING:
            tries += 1
            if tries > retries:
                return "no_answer", -1, "$ERROR$", number
        elif fault in DECLINED:
            return "no_answer", -1, "$ERROR$", number
        else:
            unread, tries = unread + 1, 0
            if unread == 2:
                return STATUS[fault], -1, "", number
    return "ok", rating(list(map(dict, messages))), reply(list(map(dict, messages))), len(script) + 1


def mixed(seed: int, share: float = 0.8, most: int = 4, kinds: Sequence[str] | None = None) -> Callable[[str], Script]:
    """A seeded mix of all faults that do not stop a run: `share` of the prompts meet one to `most` of them."""
    names = sorted(kinds or [*PASSING, *UNREAD, *REFUSED, *DECLINED])
    weights = [0.2 if name == "stall" else 1.0 for name in names]  # each takes the time-out

    def script(prompt: str) -> Script:
        chance = random.Random(f"{seed} {prompt}")
        return chance.choices(names, weights, k=chance.randint(1, most)) if chance.random() < share else []

    return script


@contextmanager
def interrupted_at(judge: FaultyJudge, request: int) -> Iterator[None]:
    """Presses Ctrl-C while this request, counted from the judge's first, is being answered; once.

    Ctrl-C works within, which it does not in tests that a shell started in the background.
    """
    answer = judge.respond

    def respond(asked: dict[str, Any], handler: BaseHTTPRequestHandler) -> None:
        if judge.requests >= request - 1:
            judge.respond = answer  # type: ignore[method-assign]
            os.kill(os.getpid(), signal.SIGINT)
        answer(asked, handler)

    judge.respond = respond  # type: ignore[method-assign]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
