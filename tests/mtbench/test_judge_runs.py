"""Cache, cost, what is printed, and what FastChat's own report makes of the files."""

import argparse
import asyncio
import errno
import io
import json
from datetime import datetime, timezone

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging import reply_cache
from ia2_eval.mtbench.judging.commands import judge_command, judge_settings
from ia2_eval.mtbench.judging.cost import cost
from ia2_eval.mtbench.judging.judge import judge_answers, judge_pairs
from ia2_eval.mtbench.judging.trial_judge import completion, send
from tests.mtbench.faulty_judge import FaultyJudge
from tests.mtbench.judged_answers import printed, quick, quiet, rows_of, write_answers

BENCH = load_bench("trial")


def no_faults(prompt):
    return []


def test_the_cache_answers_the_same_request_and_no_other(tmp_path):
    layouts = [write_answers(tmp_path / name, BENCH, ["m1"], questions=4) for name in "abc"]
    cache = tmp_path / "cache"
    with FaultyJudge(lambda prompt: ["no rating"] * 99 if prompt[0] in "0123456" else []) as judge:
        settings = quick(judge.url, cache=cache)
        first = judge_answers(layouts[0], BENCH, settings, None, quiet())
        assert 0 < first.failed < 8
        assert len(list(cache.glob("*.json"))) == 8 - first.failed
        judge.script = no_faults
        judge.forget()
        planned = judge_answers(layouts[1], BENCH, settings, None, quiet(), dry_run=True)
        assert planned.calls == first.failed
        second = judge_answers(layouts[1], BENCH, settings, None, quiet())
        assert (second.from_cache, second.failed) == (8 - first.failed, 0)
        assert judge.requests == second.calls == first.failed
        good = [row["key"] for row in rows_of(first.path) if row["status"] == "ok"]
        pairs = zip(rows_of(first.path), rows_of(second.path), strict=True)
        assert all(old == new for old, new in pairs if old["key"] in good)
        for changed in ({"temperature": 0.5}, {"max_tokens": 99}, {"model": "other"}):
            other = judge_answers(layouts[2], BENCH, settings.model_copy(update=changed), None, quiet())
            assert (other.from_cache, other.judged) == (0, 8)
        twice = judge_answers(layouts[2], BENCH, settings.model_copy(update={"repeats": 2}), None, quiet())
        assert (twice.from_cache, twice.judged) == (8, 16)
    with FaultyJudge(no_faults) as elsewhere:  # the same name at another address may be another model
        again = judge_answers(layouts[1], BENCH, quick(elsewhere.url, cache=cache), None, quiet())
        assert (again.from_cache, again.kept, again.judged) == (0, 0, 8)


def test_a_damaged_reply_is_set_aside_and_asked_for_again(tmp_path):
    layout = write_answers(tmp_path / "a", BENCH, ["m1"], questions=1)
    again = write_answers(tmp_path / "b", BENCH, ["m1"], questions=1)
    with FaultyJudge(no_faults) as judge:
        settings = quick(judge.url, cache=tmp_path / "cache")
        first = judge_answers(layout, BENCH, settings, None, quiet())
        path = tmp_path / "cache" / f"{rows_of(first.path)[0]['key']}.json"
        path.write_text('{"text": "[[1]]"')
        second = judge_answers(again, BENCH, settings, None, quiet())
    assert second.from_cache == 1
    assert path.with_suffix(".damaged").is_file() and path.is_file()
    assert rows_of(second.path) == rows_of(first.path)


def test_a_run_works_inside_an_event_loop_as_in_a_notebook(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=1)

    async def cell():
        return judge_answers(layout, BENCH, quick(None, model="trial"), None, quiet())

    assert asyncio.run(cell()).judged == 2


def test_several_models_behind_one_name_are_told(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    with FaultyJudge(no_faults) as judge:

        def respond(request, handler):
            judge.seen["?"] += 1
            name = f"gpt-4-{judge.seen['?'] % 2}"
            send(handler, 200, {**completion(request, "[[5]]"), "model": name, "usage": None})

        judge.respond = respond
        console = quiet()
        outcome = judge_answers(layout, BENCH, quick(judge.url, concurrency=1), None, console)
    assert "served several models: gpt-4-0, gpt-4-1" in printed(console)
    rows = [json.loads(line) for line in outcome.path.read_text().splitlines()]
    assert {row["served_by"] for row in rows} == {"gpt-4-0", "gpt-4-1"}
    assert all(row["date"] == datetime.fromtimestamp(row["tstamp"], timezone.utc).strftime("%Y-%m-%d") for row in rows)


def run_command(out, settings, console, **changes):
    given = {"model_ids": None, "bench": "trial", "data_dir": None, "references": None, "pairwise": False}
    given.update({"baseline": None, "console": console, "dry_run": False}, **changes)
    return judge_command(out, settings, **given)


def test_a_full_disk_under_the_cache_stops_the_run(tmp_path, monkeypatch):
    layout = write_answers(tmp_path, BENCH, ["m1"])

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(reply_cache, "write_atomically", full)
    with FaultyJudge(no_faults) as judge:
        with pytest.raises(UserError, match=r"cache .*: No space left on device"):
            judge_answers(layout, BENCH, quick(judge.url, cache=tmp_path / "cache"), None, quiet())
        assert len(rows_of(layout.judgments("judge", "single"))) == judge.requests < 32


def test_a_terminal_shows_calls_failures_cost_and_the_latest_fault(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    with FaultyJudge(lambda prompt: ["503"], pause=0.15) as judge:
        settings = quick(judge.url, price_in=5.0, price_out=5.0, concurrency=2)
        judge_answers(layout, BENCH, settings, None, console)
    said = printed(console)
    assert "8 calls, 0 failed" in said and "cost 0.0" in said and "last fault: 503: not now" in said


def test_the_trial_judge_rates_by_halves_and_prefers_the_same_answer_in_both_orders(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=8)
    single = rows_of(judge_answers(layout, BENCH, quick(None, model="trial"), None, quiet()).path)
    scores = {row["score"] for row in single}
    assert len(scores) > 5 and all(1 <= score <= 10 and (2 * score).is_integer() for score in scores)
    assert {row["served_by"] for row in single} == {"trial-judge"}
    assert all("its opinion means nothing" in row["judgment"] for row in single)
    pairs = rows_of(judge_pairs(layout, BENCH, quick(None, model="trial"), None, None, quiet()).path)
    assert all(row["g1_winner"] == row["g2_winner"] for row in pairs)
    assert {"model_1", "model_2"} <= {row["g1_winner"] for row in pairs}


def test_a_dry_run_counts_calls_and_costs_and_asks_nothing(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"])
    with FaultyJudge(no_faults) as judge:
        console = quiet()
        settings = quick(judge.url, price_in=1000.0, price_out=10.0, max_tokens=1000)
        assert run_command(tmp_path, settings, console, dry_run=True) == 0
        assert judge.requests == 0
    assert not layout.judgments("judge", "single").parent.exists()
    said = printed(console)
    counts = {line.split()[0]: line.split()[1] for line in said.splitlines() if line.startswith(("single", "together"))}
    assert counts == {
        "single-v1": "20",
        "single-math-v1": "12",
        "single-v1-multi-turn": "20",
        "single-math-v1-multi-turn": "12",
        "together": "64",
    }
    assert "at most 0.64 more for 64,000 tokens of output" in said


def test_cost_is_counted_from_the_tokens_that_the_endpoint_reports(tmp_path):
    assert cost(quick(None, price_in=2.0, price_out=8.0), 500_000, 250_000) == 3.0
    assert cost(quick(None, price_out=8.0), 500_000, 250_000) == 2.0
    assert cost(quick(None), 1, 1) is None
    write_answers(tmp_path, BENCH, ["m1"], questions=2)
    console = quiet()
    with FaultyJudge(no_faults) as judge:
        assert run_command(tmp_path, quick(judge.url, price_in=1e6, price_out=0.0), console) == 0
        words = sum(len(m["content"].split()) for body in judge.bodies for m in body["messages"])
    assert f"4 calls, 0 failed, {words:,} + " in printed(console)
    assert f"cost {words:,.2f}" in printed(console)


def test_failures_are_listed_and_make_the_status_1(tmp_path):
    write_answers(tmp_path, BENCH, ["m1", "m2"], questions=1)
    console = quiet()
    with FaultyJudge(lambda prompt: ["11"] * 99 if prompt[0] in "01234567" else []) as judge:
        assert run_command(tmp_path, quick(judge.url), console) == 1
        failed = sum(row["status"] == "unparseable" for row in rows_of(tmp_path / "model_judgment/judge_single.jsonl"))
        assert f"{failed} of 4 judgments failed; no average counts them" in printed(console)
        assert printed(console).count("unparseable: Rating: [[11]]") == failed > 0
        pairs = quiet()
        assert run_command(tmp_path, quick(judge.url), pairs, pairwise=True) in (0, 1)
        judge.script = no_faults
        assert run_command(tmp_path, quick(judge.url), quiet()) == 0
    assert run_command(tmp_path, quick(None, model="trial"), quiet(), pairwise=True, baseline="m1") == 0


def test_what_cannot_be_judged_is_refused_with_advice(tmp_path):
    settings = quick(None, model="trial")
    with pytest.raises(UserError, match="mtbench generate"):
        run_command(tmp_path, settings, quiet())
    layout = write_answers(tmp_path, BENCH, ["llama", "mistral"], questions=2)
    for changes, said in (
        ({"model_ids": ["lama"]}, "Did you mean 'llama'"),
        ({"pairwise": True, "baseline": "mistrl"}, "Did you mean 'mistral'"),
        ({"pairwise": True, "model_ids": ["llama"]}, "needs two models"),
        ({"baseline": "llama"}, "--pairwise"),
    ):
        with pytest.raises(UserError, match=said):
            run_command(tmp_path, settings, quiet(), **changes)
    with pytest.raises(UserError, match="--repeats 2"):
        run_command(tmp_path, quick(None, model="trial", repeats=2), quiet(), pairwise=True)
    row = {"question_id": 3, "model_id": "short", "choices": [{"index": 0, "turns": ["one"]}]}
    layout.answers("short").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match="question 3 has 1 of 2 turns"):
        run_command(tmp_path, settings, quiet())
    layout.answers("short").write_text(json.dumps({**row, "question_id": 999}) + "\n")
    with pytest.raises(UserError, match=r"no answer to a question of the bench 'trial' \(but to 999\)"):
        run_command(tmp_path, settings, quiet())


def test_pairs_of_the_first_sample_alone_are_told(tmp_path):
    write_answers(tmp_path, BENCH, ["m1"], questions=1)
    write_answers(tmp_path, BENCH, ["m2"], questions=1, samples=3)
    for changes, said in (({"pairwise": True}, True), ({"pairwise": True, "dry_run": True}, True), ({}, False)):
        console = quiet()
        assert run_command(tmp_path, quick(None, model="trial"), console, **changes) == 0
        assert ("pairs are of the first sample alone: of up to 3 of an answer" in printed(console)) == said


def test_missing_answers_are_told_and_the_others_judged(tmp_path):
    write_answers(tmp_path, BENCH, ["m1"], questions=5)
    console = quiet()
    assert run_command(tmp_path, quick(None, model="trial"), console) == 0
    assert "answers to 5 of 16 questions, which are judged: m1" in printed(console)
    assert "10 of 10 judged" in printed(console)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base_url": "localhost:8000"}, "http://"),
        ({"base_url": "http://localhost:99999/v1"}, "Port out of range"),
        ({"base_url": "https://me:secret@example.org/v1"}, "the key belongs in the environment"),
        ({"repeats": 0}, "repeats"),
        ({"reasoning": True, "temperature": 1.0}, "without effect"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, said):
    with pytest.raises(UserError, match=said) as refused:
        judge_settings(model="gpt-4", **given)
    assert "secret" not in str(refused.value)


def test_fastchats_own_report_reads_our_files(tmp_path, capsys):
    from fastchat.llm_judge import show_result

    layout = write_answers(tmp_path, BENCH, ["m1", "m2", "m3"], questions=5)
    with FaultyJudge(lambda prompt: ["no rating"] * 99 if prompt[0] in "01" else []) as judge:
        single = judge_answers(layout, BENCH, quick(judge.url), None, quiet())
        pair = judge_pairs(layout, BENCH, quick(judge.url), None, None, quiet())
    assert single.failed > 0 and pair.failed > 0
    arguments = argparse.Namespace(
        bench_name="mt_bench", judge_model="judge", model_list=None, baseline_model=None, input_file=str(single.path)
    )
    show_result.display_result_single(arguments)
    shown = capsys.readouterr().out
    rows = rows_of(single.path)
    for model in ("m1", "m2", "m3"):
        for turns in ((1,), (2,), (1, 2)):
            scores = [
                row["score"] for row in rows if row["model"] == model and row["turn"] in turns and row["score"] > 0
            ]
            mean = sum(scores) / len(scores)
            lines = [line.split() for line in shown.splitlines() if line.startswith(model)]
            assert any(float(line[-1]) == pytest.approx(mean, abs=1e-6) for line in lines), (model, turns)
    arguments.input_file = str(pair.path)
    show_result.display_result_pairwise(arguments)
    shown = capsys.readouterr().out
    for model in ("m1", "m2", "m3"):
        wins = losses = ties = 0
        for row in rows_of(pair.path):
            winners = {row["g1_winner"], row["g2_winner"]}
            if model not in (row["model_1"], row["model_2"]) or "error" in winners:
                continue
            if len(winners) > 1 or winners == {"tie"}:
                ties += 1
            else:
                won = row[winners.pop()] == model
                wins, losses = wins + won, losses + (not won)
        (line,) = [line.split() for line in shown.splitlines() if line.startswith(model)]
        assert list(map(float, line[1:4])) == [wins, losses, ties]
