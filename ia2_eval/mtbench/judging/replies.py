"""What an endpoint replies with."""

from __future__ import annotations

import time

from pydantic import BaseModel, Field, field_validator

from ia2_eval.frozen import Frozen


class Reply(Frozen):
    """What the judge said."""

    text: str
    refused: bool
    cut_off: bool
    """At max_tokens."""
    served_by: str | None
    tstamp: float
    attempts: int


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Completion(BaseModel):
    """What is needed of a chat completion."""

    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    usage: _Usage = _Usage()

    @field_validator("usage", mode="before")
    @classmethod
    def _may_be_null(cls, usage: object) -> object:
        return _Usage() if usage is None else usage

    def reply(self, attempts: int) -> Reply:
        choice = self.choices[0]
        cut_off = choice.finish_reason == "length"
        text = choice.message.content or ""
        refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"
        return Reply(
            text=text or choice.message.refusal or "",
            refused=refused or (not text.strip() and not cut_off),
            cut_off=cut_off,
            served_by=self.model,
            tstamp=time.time(),
            attempts=attempts,
        )
