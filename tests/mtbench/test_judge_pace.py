"""Requests go out as fast as they may."""

import asyncio
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging.judge import judge_answers
from ia2_eval.mtbench.judging.pace import Pace, retry_after
from ia2_eval.mtbench.judging.trial_judge import send
from tests.mtbench.faulty_judge import FaultyJudge
from tests.mtbench.judged_answers import quick, quiet, rows_of, write_answers

BENCH = load_bench("trial")


def no_faults(prompt):
    return []


def test_turns_come_at_even_distances_and_all_wait_through_a_pause():
    async def turns():
        pace, times, start = Pace(3000), [], time.monotonic()

        async def one():
            await pace.turn()
            times.append(time.monotonic())

        await asyncio.gather(*(one() for _ in range(6)))
        pace.pause(0.15)
        begin = time.monotonic()
        await asyncio.gather(*(one() for _ in range(2)))
        return times, start, begin

    times, start, begin = asyncio.run(turns())
    assert all(each - start >= number * 0.0199 for number, each in enumerate(times[:6]))
    assert times[6] - begin >= 0.149
    assert times[7] - begin >= 0.169


def test_requests_go_out_at_the_asked_rate_and_never_too_many_at_once(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=6)
    with FaultyJudge(no_faults) as judge:
        begin = time.monotonic()
        judge_answers(layout, BENCH, quick(judge.url, requests_per_minute=3000, concurrency=12), None, quiet())
        assert time.monotonic() - begin >= 11 * 0.02
    crowd = write_answers(tmp_path / "crowd", BENCH, ["m1"], questions=8)
    with FaultyJudge(no_faults, pause=0.1) as judge:
        judge_answers(crowd, BENCH, quick(judge.url, concurrency=5), None, quiet())
        assert 1 < judge.most_at_once <= 5


def test_after_a_429_all_requests_wait_as_long_as_the_endpoint_asks(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=4)
    told = []
    with FaultyJudge(no_faults, pause=0.1) as judge:
        answer = judge.respond

        def respond(request, handler):
            if told:
                answer(request, handler)
            else:
                told.append(time.monotonic())
                send(handler, 429, {"error": {"message": "slowly"}}, {"Retry-After": "0.3"})

        judge.respond = respond
        outcome = judge_answers(layout, BENCH, quick(judge.url, concurrency=2), None, quiet())
    _under_way, *later = sorted(judge.times)
    assert len(later) == 7
    assert min(later) - told[0] >= 0.29
    assert sorted(row["attempts"] for row in rows_of(outcome.path)) == [*[1] * 7, 2]


def test_how_long_to_wait_is_a_number_or_a_date():
    soon = datetime.now(timezone.utc) + timedelta(seconds=100)
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert 95 < retry_after({"retry-after": format_datetime(soon, usegmt=True)}) <= 100
    assert retry_after({"retry-after": format_datetime(soon - timedelta(days=1), usegmt=True)}) == 0
    for nonsense in ({}, {"retry-after": "soon"}, {"retry-after": "nan"}, {"retry-after": "-3"}):
        assert retry_after(nonsense) == 0
