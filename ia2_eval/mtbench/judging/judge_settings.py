"""Which judge is asked, how, and what identifies a judgment of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen

TRIAL = "trial"
"""Model name of the judge that ships with this package and judges nothing (`trial_judge.py`)."""
OPENAI_URL = "https://api.openai.com/v1"


class JudgeSettings(Frozen):
    """A judge behind an OpenAI-compatible endpoint. Without `base_url`: OPENAI_BASE_URL, else OpenAI itself."""

    model: str = Field(min_length=1)
    base_url: str | None = None
    api_key_variable: str = Field(default="OPENAI_API_KEY", description="environment variable that holds the key")
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=2048, ge=1)
    reasoning: bool = Field(
        default=False, description="sends max_completion_tokens and no temperature, as reasoning models ask for"
    )
    repeats: int = Field(default=1, ge=1, description="judgments of each answer")
    concurrency: int = Field(default=8, ge=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=120.0, gt=0, description="seconds for a whole reply")
    retries: int = Field(default=6, ge=0)
    backoff: float = Field(default=1.0, ge=0, description="seconds before the first retry; doubles with each")
    cache: Path | None = None
    price_in: float | None = Field(default=None, ge=0, description="per million tokens")
    price_out: float | None = Field(default=None, ge=0, description="per million tokens")

    @field_validator("base_url")
    @classmethod
    def _is_plain(cls, url: str | None) -> str | None:
        return None if url is None else _address(url)

    @model_validator(mode="after")
    def _has_effect(self) -> JudgeSettings:
        if self.reasoning and self.temperature != 0:
            raise ValueError(f"temperature = {self.temperature} without effect: a reasoning judge is sent none")
        return self

    @property
    def is_trial(self) -> bool:
        return self.model == TRIAL and self.base_url is None

    @property
    def endpoint(self) -> str:
        """The address that is asked, or `trial`.

        Raises:
            UserError: OPENAI_BASE_URL holds none.
        """
        if self.is_trial:
            return TRIAL
        if self.base_url is not None:
            return self.base_url
        try:
            return _address(os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL)
        except ValueError as error:
            raise UserError(f"OPENAI_BASE_URL: {error}") from None

    def key(self, messages: Sequence[Mapping[str, str]], repeat: int) -> str:
        """sha256 of everything that can change the judgment; a name may stand for another model at another address."""
        asked = {
            "endpoint": self.endpoint,
            "model": self.model,
            "temperature": None if self.reasoning else self.temperature,
            "max_tokens": self.max_tokens,
            "reasoning": self.reasoning,
            "messages": list(messages),
            "repeat": repeat,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _address(url: str) -> str:
    """
    Raises:
        ValueError: it cannot be asked, or holds what must not be shown.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no http:// or https:// address, such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("holds a password or a query: the key belongs in the environment")
    parts.port  # noqa: B018 - raises if it is none
    return url.rstrip("/")
