"""An OpenAI-compatible endpoint that is asked until it answers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.judge_settings import OPENAI_URL, JudgeSettings
from ia2_eval.mtbench.judging.pace import Pace, retry_after
from ia2_eval.mtbench.judging.replies import Completion, Reply
from ia2_eval.mtbench.judging.tally import Tally

if TYPE_CHECKING:
    from openai import APIStatusError
    from tenacity import AsyncRetrying, RetryCallState

RETRIED = frozenset({408, 409, 429})
"""And all from 500."""
LONGEST_WAIT = 600.0
"""Seconds that an endpoint may ask to wait before the run gives up."""
LONGEST_BACKOFF = 60.0
LONG_WAIT = 10.0
"""Seconds of trying to get one reply that are worth a line."""
FIRST_TRIES = 3
"""Tries without a connection after which the run stops, unless this endpoint has been reached before."""
GIVE_UP_AFTER = 5
"""Requests in a row that got no answer, each with all its retries; or that were refused before any got one."""


class NoAnswerError(Exception):
    """This request got no answer; others may."""

    def __init__(self, reason: str, attempts: int) -> None:
        super().__init__(reason)
        self.attempts = attempts


class _PassingError(Exception):
    """A fault that may be gone at the next try."""

    def __init__(self, reason: str, wait: float = 0.0, connected: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.connected = connected


class _DeclinedError(Exception):
    """The endpoint will not take this request."""


class Endpoint:
    """Asks a judge."""

    def __init__(self, settings: JudgeSettings, url: str, tally: Tally, proven: bool = False) -> None:
        """
        Args:
            settings: of the judge.
            url: where it is.
            tally: requests, tokens and faults are counted here.
            proven: it has answered such requests before.

        Raises:
            UserError: there is no key, or the library is not installed.
        """
        self.settings = settings
        self.url = url
        self.tally = tally
        self._proven = proven
        self._reached = self._said_long_wait = False
        self._silent = self._declined = 0
        self.under_way: set[asyncio.Task[Any]] = set()
        """Tasks whose request has gone out and has not been answered yet."""
        self.closing = False
        """No further request goes out: a task that would send one is cancelled."""
        self._pace = Pace(settings.requests_per_minute)
        self._key = _key(settings, url)
        try:
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient
        except ImportError:
            raise UserError("the judge needs the openai package: pip install 'ia2-eval[judge]'") from None
        # A proxy of the environment is not for an address on this machine.
        local = settings.is_trial or any(f"//{host}" in url for host in ("127.0.0.1", "localhost", "[::1]"))
        self._client = AsyncOpenAI(
            api_key=self._key,
            base_url=url,
            max_retries=0,  # the library's own retries know neither the pace nor malformed replies
            timeout=settings.timeout,
            http_client=DefaultAsyncHttpxClient(trust_env=not local),
        )

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def ask(self, messages: Sequence[Mapping[str, str]]) -> Reply:
        """
        Raises:
            NoAnswerError: not to this request.
            UserError: to none: key, model or quota are refused, or the endpoint is silent or cannot be reached.
        """
        from tenacity import AsyncRetrying, retry_if_exception_type

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=self._is_enough,
            wait=self._wait,
            before_sleep=self._say_long_wait,
            reraise=True,
        )
        try:
            completion: Completion = await retrying(self._ask_once, messages)
        except _PassingError as fault:
            if not (fault.connected or self._reached):
                raise UserError(
                    f"the judge at {self.url} cannot be reached ({fault}): start it, or check --judge-base-url"
                ) from None
            self._silent += 1
            attempts = 1 + self.settings.retries
            if self._silent >= GIVE_UP_AFTER:
                raise UserError(
                    f"the judge at {self.url} gave no answer to {GIVE_UP_AFTER} requests in a row, each tried "
                    f"{attempts} times; the last time: {fault}"
                ) from None
            raise NoAnswerError(str(fault), attempts) from None
        except _DeclinedError as fault:
            self._declined += 1
            if self._declined >= GIVE_UP_AFTER and not self._proven:
                raise UserError(
                    f"the judge at {self.url} declined the first {GIVE_UP_AFTER} requests: {fault}"
                ) from None
            raise NoAnswerError(str(fault), _attempts(retrying)) from None
        self._silent, self._proven = 0, True
        return completion.reply(_attempts(retrying))

    def _wait(self, state: RetryCallState) -> float:
        from tenacity import wait_exponential_jitter

        first = self.settings.backoff
        backoff = wait_exponential_jitter(initial=first, max=LONGEST_BACKOFF, jitter=first)(state)
        return max(backoff, _fault(state).wait)

    def _say_long_wait(self, state: RetryCallState) -> None:
        """Once, where no terminal shows it."""
        tried, wait = state.seconds_since_start or 0.0, state.next_action.sleep if state.next_action else 0.0
        if tried + wait > LONG_WAIT and not (self.tally.shown or self._said_long_wait):
            self._said_long_wait = True
            said = f"no reply for {tried:.0f} s ({_fault(state)}), the next try is in {wait:.0f} s"
            print(f"the judge at {self.url}: {said}", file=sys.stderr, flush=True)

    def _is_enough(self, state: RetryCallState) -> bool:
        """No tries are left; few are given to an endpoint that nothing of this run has reached."""
        tries = 1 + self.settings.retries
        patient = self._reached or _fault(state).connected
        return state.attempt_number >= (tries if patient else min(tries, FIRST_TRIES))

    async def _ask_once(self, messages: Sequence[Mapping[str, str]]) -> Completion:
        import anyio
        import openai

        self._heed_closing()
        await self._pace.turn()
        task = asyncio.current_task()
        assert task is not None
        self.under_way.add(task)
        self.tally.requests += 1
        try:
            # The library's time-out is for each read, and a reply may trickle in for ever; asyncio.wait_for would
            # lose a cancellation that comes together with the reply (Python before 3.12).
            with anyio.fail_after(self.settings.timeout):
                raw = await self._client.chat.completions.with_raw_response.create(**self._request(messages))
            self._reached = True
            completion = Completion.model_validate_json(raw.content)
        except (TimeoutError, openai.APITimeoutError):
            fault = _PassingError(f"no reply within {self.settings.timeout:g} s")
        except openai.APIStatusError as error:
            self._reached = True
            fault = self._read_status(error)
        except openai.APIConnectionError as error:
            # Of httpx, or of httpx2, which newer versions of the library use; others come of an open connection.
            connected = type(error.__cause__).__name__ != "ConnectError"
            fault = _PassingError(f"connection failed: {error.__cause__ or error}", connected=connected)
        except (ValidationError, openai.APIError) as error:
            fault = _PassingError(f"the reply is no chat completion ({type(error).__name__})")
        else:
            self.tally.tokens_in += completion.usage.prompt_tokens or 0
            self.tally.tokens_out += completion.usage.completion_tokens or 0
            return completion
        finally:
            self.under_way.discard(task)
        self._heed_closing()
        self.tally.trouble = f"last fault: {fault}"
        self.tally.changed()
        raise fault

    def _heed_closing(self) -> None:
        if self.closing:
            raise asyncio.CancelledError

    def _request(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        settings = self.settings
        asked: dict[str, Any] = {"model": settings.model, "messages": list(messages)}
        if settings.reasoning:
            return {**asked, "max_completion_tokens": settings.max_tokens}
        return {**asked, "max_tokens": settings.max_tokens, "temperature": settings.temperature}

    def _read_status(self, error: APIStatusError) -> _PassingError:
        """
        Raises:
            UserError: no request will fare better.
            _DeclinedError: this one will not.
        """
        status, said = error.status_code, self._said(error)
        if status in (401, 403):
            why = f": {said}" if status == 403 else ""  # with 401 some repeat half of the key
            raise UserError(
                f"{self.url} refuses the key in {self.settings.api_key_variable} ({status}{why}): check the key, "
                f"that it may use {self.settings.model!r}, and --judge-base-url"
            )
        if status == 404:
            raise UserError(
                f"{self.url} has no model {self.settings.model!r} for this key, or is no such interface (404: {said}): "
                "check --judge-model and --judge-base-url"
            )
        if status == 402 or error.code == "insufficient_quota":
            raise UserError(f"the account at {self.url} has nothing left ({status}: {said}): add to it")
        if status not in RETRIED and status < 500:
            hint = "; for a reasoning model give --judge-reasoning" if error.param in _REASONING_ASKS else ""
            raise _DeclinedError(f"{status}: {said}{hint}")
        wait = retry_after(error.response.headers)
        if wait > LONGEST_WAIT:
            raise UserError(f"{self.url} asks to wait {wait:.0f} s ({status}: {said}): run the same command then")
        if status == 429:
            self._pace.pause(wait)
        return _PassingError(f"{status}: {said}", wait)

    def _said(self, error: APIStatusError) -> str:
        """The endpoint's own words on one line, without the key."""
        body = error.body
        words = body["message"] if isinstance(body, dict) and "message" in body else error.message
        words = " ".join(str(words).split())
        return (words.replace(self._key, "...") if self._key else words)[:300]


def _fault(state: RetryCallState) -> _PassingError:
    """What the latest try came to: nothing else is tried again."""
    fault = state.outcome.exception() if state.outcome else None
    assert isinstance(fault, _PassingError)
    return fault


def _attempts(retrying: AsyncRetrying) -> int:
    return int(retrying.statistics["attempt_number"])


_REASONING_ASKS = ("max_tokens", "temperature")


def _key(settings: JudgeSettings, url: str) -> str:
    if settings.is_trial:
        return "trial"
    if key := os.environ.get(settings.api_key_variable, "").strip():
        if not (key.isascii() and key.isprintable()):
            raise UserError(f"what {settings.api_key_variable} holds is no key, as it has letters that no key has")
        return key
    if url == OPENAI_URL:
        raise UserError(f"there is no key for {url}: set {settings.api_key_variable}, or give --judge-base-url")
    return "no-key-given"  # many servers of one's own want none, and the library wants one
