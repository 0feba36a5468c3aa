"""A judge that fails in every way: nothing is lost, and nothing is counted wrong."""

import io
import json
from collections import Counter

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging import endpoint
from ia2_eval.mtbench.judging.asking import ask_all
from ia2_eval.mtbench.judging.endpoint import FIRST_TRIES
from ia2_eval.mtbench.judging.judge import grade, judge_answers, judge_pairs
from ia2_eval.mtbench.judging.judgments import read_judgments, read_pair_judgments
from ia2_eval.mtbench.judging.matches import read_all_answers
from ia2_eval.mtbench.judging.pair_matches import pair_matches
from ia2_eval.mtbench.judging.single_matches import single_matches
from ia2_eval.mtbench.judging.tally import Tally
from ia2_eval.mtbench.judging.trial_judge import send
from tests.mtbench.faulty_judge import (
    DECLINED,
    PASSING,
    REFUSED,
    STALL,
    STOPPING,
    UNREAD,
    FaultyJudge,
    digest,
    expected,
    mixed,
)
from tests.mtbench.judged_answers import printed, quick, quiet, rows_of, write_answers

BENCH = load_bench("trial")
ALL_KINDS = {*PASSING, *UNREAD, *REFUSED, *DECLINED}


def matches_of(layout, settings):
    return single_matches(BENCH, read_all_answers(layout, BENCH, None), settings, settings.repeats)


def test_hundreds_of_faulty_replies_of_every_kind_are_survived_with_nothing_lost_or_counted_wrong(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2", "m3"], samples=2)
    script = mixed(seed=1, share=0.9)
    with FaultyJudge(script) as judge:
        settings = quick(judge.url, concurrency=16, timeout=STALL)
        outcome = judge_answers(layout, BENCH, settings, None, quiet())
        faults = judge.served.copy()
        requests = judge.requests
    assert faults.total() >= 300
    assert set(faults) == ALL_KINDS
    rows = {(row.model, row.question_id, row.turn, row.sample): row for row in read_judgments(outcome.path)}
    matches = matches_of(layout, settings)
    assert len(rows) == len(matches) == len(outcome.path.read_text().splitlines()) == 3 * 2 * 16 * 2
    for match in matches:
        row = rows[match.identity[:4]]
        messages = match.calls[0].messages
        status, score, text, attempts = expected(script(digest(messages)), messages, settings.retries)
        assert (row.status, row.score, row.attempts) == (status, score, attempts)
        if status == "ok":
            assert row.judgment == text
        assert row.failed == (status != "ok")
    statuses = Counter(row.status for row in rows.values())
    assert set(statuses) == {"ok", "unparseable", "refused", "no_answer"}
    assert outcome.failed == len(rows) - statuses["ok"]
    assert outcome.judged == len(rows)
    assert outcome.calls == requests == sum(row.attempts for row in rows.values())


def test_what_failed_is_asked_again_by_the_next_run_and_what_succeeded_is_not(tmp_path):
    layout = write_answers(tmp_path / "faulty", BENCH, ["m1"])
    calm = write_answers(tmp_path / "calm", BENCH, ["m1"])
    script = mixed(seed=2, kinds=[*UNREAD, *REFUSED, *DECLINED], most=2)
    with FaultyJudge(script) as judge:
        settings = quick(judge.url)
        first = judge_answers(layout, BENCH, settings, None, quiet())
        assert 5 < first.failed < 28
        good = {row["key"]: row for row in rows_of(first.path) if row["status"] == "ok"}
        judge.script = lambda prompt: []
        judge.forget()
        second = judge_answers(layout, BENCH, settings, None, quiet())
        assert (second.judged, second.kept, second.failed) == (first.failed, 32 - first.failed, 0)
        assert judge.requests == first.failed
        assert {key: row for row in rows_of(second.path) if (key := row["key"]) in good} == good
        undisturbed = judge_answers(calm, BENCH, settings, None, quiet())
    assert rows_of(second.path, "attempts") == rows_of(undisturbed.path, "attempts")


def test_both_games_of_a_pair_survive_faults(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2", "m3"], questions=4)
    script = mixed(seed=3, kinds=sorted(ALL_KINDS - {"stall"}))
    with FaultyJudge(script) as judge:
        settings = quick(judge.url)
        outcome = judge_pairs(layout, BENCH, settings, None, None, quiet())
        judge.script = lambda prompt: []
        rows = {(row.model_1, row.model_2, row.question_id, row.turn): row for row in read_pair_judgments(outcome.path)}
        matches = pair_matches(BENCH, read_all_answers(layout, BENCH, None), settings, None)
        assert len(rows) == len(matches) == 3 * 8
        for match in matches:
            row = rows[match.identity]
            failed = []
            for call, winner in zip(match.calls, (row.g1_winner, row.g2_winner), strict=True):
                status, _, _, _ = expected(script(digest(call.messages)), call.messages, settings.retries)
                failed.append(status != "ok")
                assert (winner == "error") == failed[-1]
            assert row.failed == any(failed)
        assert outcome.failed == sum(row.failed for row in rows.values()) > 0
        again = judge_pairs(layout, BENCH, settings, None, None, quiet())
    assert (again.kept, again.judged, again.failed) == (24 - outcome.failed, outcome.failed, 0)
    assert not any("error" in (row["g1_winner"], row["g2_winner"]) for row in rows_of(again.path))


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ("401", "SOME_KEY"),
        ("403", r"SOME_KEY \(403: not now\)"),
        ("404", "--judge-model"),
        ("402", "add to it"),
        ("no quota", "add to it"),
        ("a long wait", "86400 s"),
    ],
)
def test_what_no_request_will_get_over_stops_the_run_at_once_with_what_to_do(tmp_path, monkeypatch, fault, advice):
    assert fault in STOPPING
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=8)
    settings_of = {"concurrency": 3, "api_key_variable": "SOME_KEY"}
    with FaultyJudge(lambda prompt: [], pause=0.02) as judge:
        stopped_by = digest(matches_of(layout, quick(judge.url))[6].calls[0].messages)
        judge.script = lambda prompt: [fault] * 9 if prompt == stopped_by else []
        with pytest.raises(UserError, match=advice) as stopped:
            judge_answers(layout, BENCH, quick(judge.url, **settings_of), None, quiet())
        requests = judge.requests
        assert judge.keys == {"Bearer sk-very-secret"}
        kept = read_judgments(layout.judgments("judge", "single"))
        judge.script = lambda prompt: []
        outcome = judge_answers(layout, BENCH, quick(judge.url, **settings_of), None, quiet())
    assert "sk-very-secret" not in str(stopped.value)
    assert len(kept) == requests - 1  # replies that were under way are kept
    assert 4 <= len(kept) <= 9
    assert judge.seen[stopped_by] == 2
    assert (outcome.kept, outcome.judged, outcome.failed) == (len(kept), 16 - len(kept), 0)


def test_a_judge_that_declines_everything_stops_the_run_but_one_that_declines_some_does_not(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=8)
    with FaultyJudge(lambda prompt: ["400"] * 9) as judge:
        settings = quick(judge.url, concurrency=1)
        with pytest.raises(UserError, match="declined the first 5 requests: 400: maximum context length"):
            judge_answers(layout, BENCH, settings, None, quiet())
        assert judge.requests == 5
        first = digest(matches_of(layout, settings)[0].calls[0].messages)
        judge.script = lambda prompt: [] if prompt == first else ["400"] * 9
        outcome = judge_answers(layout, BENCH, settings, None, quiet())
        assert outcome.failed == 15
        again = judge_answers(layout, BENCH, settings, None, quiet())
        assert (again.kept, again.failed) == (1, 15)


def test_a_reasoning_judge_is_asked_in_its_own_way(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=1)
    with FaultyJudge(lambda prompt: []) as judge:
        judge_answers(layout, BENCH, quick(judge.url, max_tokens=77), None, quiet())
        judge_answers(layout, BENCH, quick(judge.url, max_tokens=77, reasoning=True), None, quiet())
        asked = [{name: value for name, value in body.items() if name != "messages"} for body in judge.bodies]
    assert asked[:2] == 2 * [{"model": "judge", "max_tokens": 77, "temperature": 0.0}]
    assert asked[2:] == 2 * [{"model": "judge", "max_completion_tokens": 77}]


def test_a_silent_judge_stops_the_run(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"])
    with FaultyJudge(lambda prompt: ["500"] * 99) as judge:
        settings = quick(judge.url, concurrency=2, retries=2)
        with pytest.raises(UserError, match=r"no answer to 5 requests in a row, each tried 3 times.*500: not now"):
            judge_answers(layout, BENCH, settings, None, quiet())
        assert 15 <= judge.requests <= 18


def test_an_address_that_was_never_reached_stops_the_run_soon(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"])
    tally = Tally()
    asked = matches_of(layout, settings := quick("http://127.0.0.1:9/v1", concurrency=1))
    said = r"http://127.0.0.1:9/v1 cannot be reached \(connection failed: .*\): start it, or check --judge-base-url"
    with pytest.raises(UserError, match=said):
        ask_all(asked, settings, lambda match, row: None, tally)
    assert tally.requests == FIRST_TRIES < settings.retries


@pytest.mark.parametrize("first", [[], ["500"], ["400"]])
def test_one_that_was_reached_once_is_tried_with_all_patience(tmp_path, first):
    layout = write_answers(tmp_path, BENCH, ["m1"])
    tally = Tally()
    with FaultyJudge(lambda prompt: first) as judge:
        asked = matches_of(layout, settings := quick(judge.url, concurrency=1, retries=3))
        answer = judge.respond

        def respond(request, handler):
            judge.__exit__(None, None, None)  # from now on, connections are refused
            handler.close_connection = True
            answer(request, handler)

        judge.respond = respond
        with pytest.raises(UserError, match=r"no answer to 5 requests in a row, each tried 4 times.*connection failed"):
            ask_all(asked, settings, lambda match, row: None, tally)
    assert tally.requests == (20 if first == ["500"] else 21)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_wait_is_told_once_where_no_terminal_shows_it(tmp_path, monkeypatch, capsys, terminal):
    monkeypatch.setattr(endpoint, "LONG_WAIT", 0.02)
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    console = Console(file=io.StringIO(), force_terminal=terminal)
    with FaultyJudge(lambda prompt: ["503"] * 3) as judge:
        judge_answers(layout, BENCH, quick(judge.url, backoff=0.015), None, console)
        told = capsys.readouterr().err
        assert (
            told.count("\n")
            == told.count(f"the judge at {judge.url}: no reply for 0 s (503: not now)")
            == (not terminal)
        )


def test_the_key_is_in_no_file_and_in_no_message_even_if_the_endpoint_repeats_it(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    layout = write_answers(tmp_path, BENCH, ["m1"])
    with FaultyJudge(lambda prompt: []) as judge:
        error = {"error": {"message": "your key is sk-very-secret, sir"}}
        judge.respond = lambda request, handler: send(handler, 400, error)
        console = quiet()
        with pytest.raises(UserError, match=r"your key is \.\.\., sir") as stopped:
            judge_answers(layout, BENCH, quick(judge.url, concurrency=1), None, console)
    assert "sk-very-secret" not in str(stopped.value) + printed(console)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert layout.judgments("judge", "single") in files
    assert not any("sk-very-secret" in path.read_text() for path in files)


def test_without_a_key_openai_itself_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    layout = write_answers(tmp_path, BENCH, ["m1"])
    with pytest.raises(UserError, match="set OPENAI_API_KEY, or give --judge-base-url"):
        judge_answers(layout, BENCH, quick(None), None, quiet())
    monkeypatch.setenv("OPENAI_API_KEY", "“sk-very-secret”")
    with pytest.raises(UserError, match="what OPENAI_API_KEY holds is no key") as refused:
        judge_answers(layout, BENCH, quick(None), None, quiet())
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["https://me:secret@example.org/v1", "example.org/secret", "http://localhost:99999/v1"])
def test_an_address_of_the_environment_that_cannot_be_asked_or_shown_is_refused(tmp_path, monkeypatch, url):
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    layout = write_answers(tmp_path, BENCH, ["m1"])
    with pytest.raises(UserError, match="OPENAI_BASE_URL: ") as refused:
        judge_answers(layout, BENCH, quick(None), None, quiet())
    assert "secret" not in str(refused.value)


def test_grade_gives_the_judgments_in_memory(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=3)
    script = mixed(seed=4, kinds=sorted(ALL_KINDS - {"stall"}))
    with FaultyJudge(script) as judge:
        settings = quick(judge.url, repeats=1)
        answers = [answer for each in read_all_answers(layout, BENCH, None).values() for answer in each.values()]
        rows = grade(BENCH, answers[::-1], settings)
        judge.forget()
        outcome = judge_answers(layout, BENCH, settings, None, quiet())
    stored = [json.loads(json.dumps(row.model_dump(mode="json"))) for row in rows]
    assert [{k: v for k, v in row.items() if k not in ("tstamp", "date")} for row in stored] == rows_of(outcome.path)
