"""Put many questions to a judge at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Generic

from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.calls import Call, Opinion, ask, not_asked
from ia2_eval.mtbench.judging.endpoint import Endpoint
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.matches import Match, Row
from ia2_eval.mtbench.judging.reply_cache import ReplyCache
from ia2_eval.mtbench.judging.tally import Tally

LAST_REPLIES = 30.0
"""Seconds that a run which must end waits for replies that are under way: they are paid."""


def ask_all(
    matches: Sequence[Match[Row]],
    settings: JudgeSettings,
    keep: Callable[[Match[Row], Row], None],
    tally: Tally | None = None,
    known: dict[str, Opinion[Any]] | None = None,
    proven: bool = False,
) -> None:
    """Ask the judge about each match and hand its row to `keep`, one at a time, as they come.

    Nothing is asked twice: calls with the same key, as of models that gave the same answer, share an opinion.

    Args:
        matches: what to ask about.
        settings: of the judge.
        keep: is called in the thread that runs the requests, never twice at a time.
        tally: counts.
        known: opinions of earlier runs by the key of their call.
        proven: the judge has answered such requests before, so that one it declines is no fault of the settings.

    Raises:
        UserError: the judge cannot go on, or a file cannot be written; replies under way are kept if they come soon.
        KeyboardInterrupt: Ctrl-C; likewise (not with Python 3.10). A second one gives them up.
    """
    if matches:
        with _served(settings) as url:
            asking = _Asking(settings, keep, tally or Tally(), known or {})
            _run(asking.all(matches, url, proven))


class _Asking(Generic[Row]):
    def __init__(
        self,
        settings: JudgeSettings,
        keep: Callable[[Match[Row], Row], None],
        tally: Tally,
        known: dict[str, Opinion[Any]],
    ) -> None:
        self.settings = settings
        self.keep = keep
        self.tally = tally
        self.known = known
        self.cache = ReplyCache(settings.cache) if settings.cache else None
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def all(self, matches: Sequence[Match[Row]], url: str, proven: bool) -> None:
        waiting = iter(matches)  # all workers draw from the same
        async with Endpoint(self.settings, url, self.tally, proven) as endpoint:
            count = min(self.settings.concurrency, len(matches))
            workers = {asyncio.create_task(self._work(waiting, endpoint)) for _ in range(count)}
            try:
                done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                await self._wind_up(workers, endpoint)
        try:
            for worker in done:
                worker.result()
        except OSError as error:
            path = error.filename or self.settings.cache
            raise UserError(f"the cache {path}: {error.strerror}; mend it, then run the same command") from error

    async def _work(self, waiting: Iterator[Match[Row]], endpoint: Endpoint) -> None:
        for match in waiting:
            opinions: list[Opinion[Any]] = []
            try:
                for call in match.calls:
                    opinions.append(await self._opinion(call, endpoint))
            except BaseException:
                if any(opinion.fresh for opinion in opinions):  # the run ends between the two games of a pair
                    self._write(match, [*opinions, *(not_asked() for _ in match.calls[len(opinions) :])])
                raise
            row = self._write(match, opinions)
            self.tally.judged += 1
            self.tally.failed += row.failed
            self.tally.from_cache += all(opinion.from_cache for opinion in opinions)
            self.tally.served_by.update(opinion.served_by for opinion in opinions if opinion.served_by)
            self.tally.changed()

    async def _opinion(self, call: Call[Any], endpoint: Endpoint) -> Opinion[Any]:
        async with self._locks[call.key]:
            if call.key in self.known:
                return replace(self.known[call.key], from_cache=True)
            opinion = await ask(call, endpoint, self.cache)
            if opinion.status == "ok":
                self.known[call.key] = opinion
            return opinion

    def _write(self, match: Match[Row], opinions: Sequence[Opinion[Any]]) -> Row:
        row = match.row(match, opinions)
        self.keep(match, row)  # before the cache, which may be full
        if self.cache is not None:
            for call, opinion in zip(match.calls, opinions, strict=True):
                if opinion.fresh:
                    self.cache.put(call.key, opinion.reply)
        return row

    async def _wind_up(self, workers: set[asyncio.Task[None]], endpoint: Endpoint) -> None:
        """Everything but replies that are under way ends now, and these soon."""
        endpoint.closing = True
        for worker in workers - endpoint.under_way:
            worker.cancel()
        if under_way := workers & endpoint.under_way:
            self.tally.trouble = f"waiting for the last {len(under_way)} replies; Ctrl-C gives them up"
            self.tally.changed()
            await asyncio.wait(under_way, timeout=LAST_REPLIES)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


@contextmanager
def _served(settings: JudgeSettings) -> Iterator[str]:
    """The address of the judge; the trial judge runs as long as the context."""
    if not settings.is_trial:
        yield settings.endpoint
        return
    from ia2_eval.mtbench.judging.trial_judge import TrialJudge

    with TrialJudge() as judge:
        yield judge.url


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end; in a thread of its own where this one has an event loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    stop: Future[Callable[[], object]] = Future()

    async def stoppable() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        stop.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        await work

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(asyncio.run, stoppable())
        try:
            done.result()
        except KeyboardInterrupt:
            with suppress(RuntimeError):  # it has ended meanwhile
                stop.result()()
            raise
