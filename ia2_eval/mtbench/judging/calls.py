"""What a judge is asked, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from ia2_eval.mtbench.judging.endpoint import Endpoint, NoAnswerError
from ia2_eval.mtbench.judging.judgments import Status
from ia2_eval.mtbench.judging.replies import Reply
from ia2_eval.mtbench.judging.reply_cache import ReplyCache

Value = TypeVar("Value")

ERROR = "$ERROR$"
"""What FastChat writes where the endpoint gave no answer (`API_ERROR_OUTPUT`)."""
ASKED_AGAIN = 1
"""How often a reply without a rating is followed by another request."""


@dataclass(frozen=True)
class Call(Generic[Value]):
    """One question to the judge, and how its reply is read."""

    judge: str
    """Its model, as it is asked for."""
    prompt: str
    """Name of the judge prompt."""
    messages: tuple[Mapping[str, str], ...]
    key: str
    read: Callable[[str], Value | None]

    @property
    def user_prompt(self) -> str:
        return self.messages[-1]["content"]


@dataclass(frozen=True)
class Opinion(Generic[Value]):
    """What the judge said at last; `value` is None unless the status is ok."""

    status: Status
    value: Value | None
    text: str
    tstamp: float
    attempts: int
    served_by: str | None = None
    from_cache: bool = False

    @property
    def fresh(self) -> bool:
        """Whether it can be read and was paid for just now."""
        return self.status == "ok" and not self.from_cache

    @property
    def reply(self) -> Reply:
        """For the cache."""
        return Reply(
            text=self.text,
            refused=False,
            cut_off=False,
            served_by=self.served_by,
            tstamp=self.tstamp,
            attempts=self.attempts,
        )

    @property
    def date(self) -> str:
        """In UTC."""
        return datetime.fromtimestamp(self.tstamp, timezone.utc).date().isoformat()


def not_asked() -> Opinion[Any]:
    """In place of one that the judge was not asked for, as the run ended before."""
    return Opinion("no_answer", None, f"{ERROR} the run ended before the judge was asked", time.time(), 0)


def messages(prompt: Mapping[str, Any], slots: Mapping[str, str]) -> tuple[dict[str, str], ...]:
    """A judge prompt filled in, as FastChat's `chatgpt` conversation template writes it for OpenAI's interface."""
    user = {"role": "user", "content": prompt["prompt_template"].format(**slots)}
    if not prompt["system_prompt"]:
        return (user,)
    return {"role": "system", "content": prompt["system_prompt"]}, user


async def ask(call: Call[Value], endpoint: Endpoint, cache: ReplyCache | None) -> Opinion[Value]:
    """The judge's opinion. A reply that cannot be read is not taken for the last word: the judge is asked once more.

    Raises:
        UserError: no request will be answered.
        OSError: the cache cannot be read.
    """
    if cache is not None and (stored := cache.get(call.key)) is not None:
        opinion = _opinion(call, stored, stored.attempts, from_cache=True)
        if opinion.status == "ok":
            return opinion
    attempts = 0
    for _ in range(1 + ASKED_AGAIN):
        try:
            reply = await endpoint.ask(call.messages)
        except NoAnswerError as failure:
            return Opinion("no_answer", None, f"{ERROR} {failure}", time.time(), attempts + failure.attempts)
        attempts += reply.attempts
        opinion = _opinion(call, reply, attempts)
        if opinion.status == "ok":
            break
    return opinion


def _opinion(call: Call[Value], reply: Reply, attempts: int, from_cache: bool = False) -> Opinion[Value]:
    status: Status
    if reply.refused:
        status, value = "refused", None
    else:
        # What was cut off at max_tokens had no final rating yet, whatever stands in it.
        value = None if reply.cut_off else call.read(reply.text)
        status = "unparseable" if value is None else "ok"
    return Opinion(status, value, reply.text, reply.tstamp, attempts, reply.served_by, from_cache)
