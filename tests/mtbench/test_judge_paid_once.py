"""No reply that was paid for is lost, and none is paid for twice."""

import asyncio
import json
import sys
import time

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging.judge import judge_answers, judge_pairs
from ia2_eval.mtbench.judging.trial_judge import send
from tests.mtbench.faulty_judge import FaultyJudge, interrupted_at
from tests.mtbench.judged_answers import quick, quiet, rows_of, write_answers

BENCH = load_bench("trial")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio ends all tasks at once")
@pytest.mark.parametrize("in_a_notebook", [False, True])
def test_ctrl_c_loses_no_reply_that_is_under_way(tmp_path, in_a_notebook):
    layout = write_answers(tmp_path, BENCH, ["m1"])

    async def cell():
        judge_answers(layout, BENCH, settings, None, quiet())

    with FaultyJudge(lambda prompt: [], pause=0.1) as judge:
        settings = quick(judge.url, concurrency=4)
        with interrupted_at(judge, 6), pytest.raises(KeyboardInterrupt):
            if in_a_notebook:
                asyncio.new_event_loop().run_until_complete(cell())
            else:
                judge_answers(layout, BENCH, settings, None, quiet())
    assert 6 <= len(rows_of(layout.judgments("judge", "single"))) == judge.requests < 16


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio ends all tasks at once")
@pytest.mark.parametrize("faults", [[], ["500"]])
def test_after_ctrl_c_nothing_is_asked_any_more(tmp_path, faults):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=2)
    with FaultyJudge(lambda prompt: [], pause=0.1) as judge:
        settings = quick(judge.url, concurrency=1, backoff=20)
        judge.script = lambda prompt: faults if judge.requests == 3 else []
        begin = time.monotonic()
        with interrupted_at(judge, 3), pytest.raises(KeyboardInterrupt):
            judge_pairs(layout, BENCH, settings, None, None, quiet())
        assert judge.requests == 3
        assert time.monotonic() - begin < 10
    rows = rows_of(layout.judgments("judge", "pair"))
    assert [row["g2_winner"] == "error" for row in rows] == ([False] if faults else [False, True])


def test_what_the_judge_said_of_half_a_pair_is_not_asked_again(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=6)
    with FaultyJudge(lambda prompt: ["no rating"] * 9 if prompt[0] in "0123456" else []) as judge:
        settings = quick(judge.url)
        first = judge_pairs(layout, BENCH, settings, None, None, quiet())
        halves = [row for row in rows_of(first.path) if "error" in (row["g1_winner"], row["g2_winner"])]
        games = sum((row["g1_winner"] == "error") + (row["g2_winner"] == "error") for row in halves)
        assert 0 < len(halves) < games < 2 * len(halves)
        judge.script = lambda prompt: []
        judge.forget()
        planned = judge_pairs(layout, BENCH, settings, None, None, quiet(), dry_run=True)
        second = judge_pairs(layout, BENCH, settings, None, None, quiet())
        assert planned.calls == second.calls == judge.requests == games
    with FaultyJudge(lambda prompt: []) as judge:
        calm = write_answers(tmp_path / "calm", BENCH, ["m1", "m2"], questions=6)
        undisturbed = judge_pairs(calm, BENCH, quick(judge.url), None, None, quiet())
    assert rows_of(second.path, "key") == rows_of(undisturbed.path, "key")


def test_a_run_that_ends_between_the_games_of_a_pair_keeps_the_first(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=2)
    with FaultyJudge(lambda prompt: []) as judge:
        settings = quick(judge.url, concurrency=1)
        answer = judge.respond

        def respond(request, handler):
            if judge.requests < 3:
                answer(request, handler)
            else:
                send(handler, 402, {"error": {"message": "Insufficient Balance"}})

        judge.respond = respond
        with pytest.raises(UserError, match="Insufficient Balance"):
            judge_pairs(layout, BENCH, settings, None, None, quiet())
        path = layout.judgments("judge", "pair")
        assert [row["g2_winner"] == "error" for row in rows_of(path)] == [False, True]
        judge.respond = answer
        outcome = judge_pairs(layout, BENCH, settings, None, None, quiet())
        assert (outcome.kept, outcome.judged, outcome.failed, judge.requests) == (1, 3, 0, 8)
    assert len(rows_of(path)) == 4


def test_a_pair_is_judged_once_whichever_comes_first(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2", "m3"], questions=2)
    with FaultyJudge(lambda prompt: []) as judge:
        judge_pairs(layout, BENCH, quick(judge.url), None, "m1", quiet())
        outcome = judge_pairs(layout, BENCH, quick(judge.url), None, None, quiet())
        assert (outcome.kept, outcome.judged, outcome.calls, judge.requests) == (8, 4, 8, 24)
    pairs = [(row["model_1"], row["model_2"]) for row in rows_of(outcome.path)]
    assert pairs == [("m2", "m1")] * 4 + [("m2", "m3")] * 4 + [("m3", "m1")] * 4


def test_models_that_gave_the_same_answer_share_a_judgment(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    layout.answers("m2").write_bytes(layout.answers("m1").read_bytes())
    with FaultyJudge(lambda prompt: [], pause=0.02) as judge:
        planned = judge_answers(layout, BENCH, quick(judge.url), None, quiet(), dry_run=True)
        outcome = judge_answers(layout, BENCH, quick(judge.url), None, quiet())
        assert (planned.calls, outcome.calls, outcome.judged, judge.requests) == (4, 4, 8, 4)
        layout.answers("m3").write_bytes(layout.answers("m1").read_bytes())
        later = judge_answers(layout, BENCH, quick(judge.url), None, quiet())
        assert (later.calls, later.kept, later.judged, later.from_cache) == (0, 8, 4, 4)
    rows = [json.loads(line) for line in later.path.read_text().splitlines()]
    by_model = {name: [{**row, "model": ""} for row in rows if row["model"] == name] for name in ("m1", "m2", "m3")}
    assert len(by_model["m1"]) == 4 and by_model["m1"] == by_model["m2"] == by_model["m3"]
