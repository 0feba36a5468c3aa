"""Put many questions to a judge at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.calls import ask
from ia2_eval.mtbench.judging.endpoint import Endpoint
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.matches import Match, Row
from ia2_eval.mtbench.judging.reply_cache import ReplyCache
from ia2_eval.mtbench.judging.tally import Tally


def ask_all(
    matches: Sequence[Match[Row]],
    settings: JudgeSettings,
    keep: Callable[[Match[Row], Row], None],
    tally: Tally | None = None,
    proven: bool = False,
) -> None:
    """Ask the judge about each match and hand its row to `keep`, one at a time, as they come.

    Args:
        matches: what to ask about.
        settings: of the judge.
        keep: is called in the thread that runs the requests, never twice at a time.
        tally: counts.
        proven: the judge has answered such requests before, so that one it declines is no fault of the settings.

    Raises:
        UserError: the judge cannot go on, or a file cannot be written; requests under way are given up.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    with _served(settings) as url:
        _run(_ask_all(matches, settings, url, keep, tally or Tally(), proven))


async def _ask_all(
    matches: Sequence[Match[Row]],
    settings: JudgeSettings,
    url: str,
    keep: Callable[[Match[Row], Row], None],
    tally: Tally,
    proven: bool,
) -> None:
    cache = ReplyCache(settings.cache) if settings.cache else None
    waiting = iter(matches)

    async def work(endpoint: Endpoint) -> None:
        for match in waiting:  # all workers draw from the same
            opinions = [await ask(call, endpoint, cache) for call in match.calls]
            row = match.row(match, opinions)
            keep(match, row)
            tally.judged += 1
            tally.failed += row.failed
            tally.from_cache += all(opinion.from_cache for opinion in opinions)
            tally.served_by.update(opinion.served_by for opinion in opinions if opinion.served_by)
            tally.changed()

    async with Endpoint(settings, url, tally, proven) as endpoint:
        workers = [asyncio.create_task(work(endpoint)) for _ in range(min(settings.concurrency, len(matches)))]
        try:
            await asyncio.gather(*workers)
        except OSError as error:
            path = error.filename or settings.cache
            raise UserError(f"the cache {path}: {error.strerror}; mend it, then run the same command") from error
        finally:
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
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
