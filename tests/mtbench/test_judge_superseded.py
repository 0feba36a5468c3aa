"""A judgment is replaced by another one only, and is never paid for twice."""

import json

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging.judge import judge_answers, judge_pairs
from tests.mtbench.faulty_judge import FaultyJudge
from tests.mtbench.judged_answers import printed, quick, quiet, rows_of, write_answers

BENCH = load_bench("trial")
DEAD = "http://127.0.0.1:9/v1"


def judge_ratings(layout, settings, console=None):
    return judge_answers(layout, BENCH, settings, None, console or quiet())


def judge_games(layout, settings, console=None):
    return judge_pairs(layout, BENCH, settings, None, None, console or quiet())


BOTH = pytest.mark.parametrize("judge_all", [judge_ratings, judge_games])


def answer_anew(layout, model):
    """The second turn of its first answer."""
    first, *others = layout.answers(model).read_text().splitlines()
    row = json.loads(first)
    row["choices"][0]["turns"][1] += " anew"
    layout.answers(model).write_text("\n".join([json.dumps(row), *others]) + "\n")


def replies(path):
    """What the judge said and when, of each row."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@BOTH
def test_a_dead_endpoint_replaces_nothing(tmp_path, judge_all):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=3)
    with FaultyJudge(lambda prompt: []) as judge:
        path = judge_all(layout, quick(judge.url)).path
        before = path.read_bytes()
        console = quiet()
        with pytest.raises(UserError, match="cannot be reached"):
            judge_all(layout, quick(DEAD), console)
        assert "they stand until this run has its first rating, then move to judge_" in printed(console)
        assert path.read_bytes() == before and not path.with_suffix(".superseded.jsonl").exists()
        judge.forget()
        assert judge_all(layout, quick(judge.url)).kept == len(before.splitlines())
        assert judge.requests == 0


@BOTH
def test_what_was_superseded_is_taken_back_if_it_is_asked_for_once_more(tmp_path, judge_all):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=3)
    with FaultyJudge(lambda prompt: []) as judge, FaultyJudge(lambda prompt: []) as other:
        path = judge_all(layout, quick(judge.url)).path
        before = replies(path)
        assert judge_all(layout, quick(other.url)).kept == 0
        elsewhere = replies(path)
        aside = path.with_suffix(".superseded.jsonl")
        assert replies(aside) == before and len(elsewhere) == len(before)
        judge.forget()
        back = judge_all(layout, quick(judge.url))
        assert (back.kept, back.from_cache, back.calls, judge.requests) == (0, len(before), 0, 0)
        assert replies(path) == before
        assert replies(aside) == [*before, *elsewhere]
        other.forget()
        judge_all(layout, quick(other.url))
        assert other.requests == 0
        assert replies(path) == elsewhere and replies(aside) == [*before, *elsewhere]  # none there twice


@BOTH
def test_with_the_first_rating_all_of_other_requests_go(tmp_path, judge_all):
    """Also where the new one fails: an old rating beside new ones would pass for one of today's answers."""
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=4)
    with FaultyJudge(lambda prompt: []) as judge:
        settings = quick(judge.url, temperature=0.5, concurrency=1)
        path = judge_all(layout, quick(judge.url)).path
        before = replies(path)
        declined = iter([["400"] * 9] * 3)
        judge.script = lambda prompt: next(declined, [])
        outcome = judge_all(layout, settings)
        assert 0 < outcome.failed <= 3
        rows = replies(path)
        assert len(rows) == len(before) and not {row["key"] for row in rows} & {row["key"] for row in before}
        assert sum("$ERROR$" in json.dumps(row) for row in rows) == outcome.failed
        assert replies(path.with_suffix(".superseded.jsonl")) == before


@BOTH
def test_failures_alone_are_told_and_replace_nothing(tmp_path, judge_all):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=3)
    with FaultyJudge(lambda prompt: []) as judge:
        path = judge_all(layout, quick(judge.url)).path
        before = path.read_bytes()
        answer_anew(layout, "m1")
        judge.script = lambda prompt: ["no rating"] * 99
        outcome = judge_all(layout, quick(judge.url))
        assert (outcome.judged, outcome.failed) == (1, 1)
        assert path.read_bytes() == before and not path.with_suffix(".superseded.jsonl").exists()
        judge.script = lambda prompt: []
        assert judge_all(layout, quick(judge.url)).failed == 0
    assert len(replies(path)) == len(before.splitlines())
    assert len(replies(path.with_suffix(".superseded.jsonl"))) == 1


def test_a_line_that_was_torn_while_superseding_harms_nothing(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    with FaultyJudge(lambda prompt: []) as judge:
        path = judge_ratings(layout, quick(judge.url)).path
        aside = path.with_suffix(".superseded.jsonl")
        aside.write_text('{"question_id": 3, "mod')
        judge_ratings(layout, quick(judge.url, temperature=0.5))
        assert len(rows_of(aside)) == len(rows_of(path)) == 4


@pytest.mark.parametrize("ending", [".jsonl", ".superseded.jsonl"])
def test_a_damaged_line_is_named_with_what_to_do(tmp_path, ending):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    path = judge_ratings(layout, quick(None, model="trial")).path
    before = rows_of(path)
    damaged = path.with_suffix(ending)
    lines = path.read_text().splitlines()
    damaged.write_text("\n".join([lines[0], lines[1][:50], *lines[2:]]) + "\n")
    with pytest.raises(
        UserError, match=rf"_single{ending}, line 2: .*\(delete that line: its judgment is asked for again"
    ):
        judge_ratings(layout, quick(None, model="trial"))
    damaged.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    judge_ratings(layout, quick(None, model="trial"))
    assert rows_of(path) == before


def test_half_of_a_pair_counts_as_an_opinion_and_is_kept(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=1)
    with FaultyJudge(lambda prompt: []) as judge:
        path = judge_games(layout, quick(judge.url)).path
        asked = iter([[], ["no rating"] * 9, ["no rating"] * 9, ["no rating"] * 9])
        judge.script = lambda prompt: next(asked, ["no rating"] * 9)
        settings = quick(judge.url, temperature=0.5, concurrency=1)
        assert judge_games(layout, settings).failed == 2
        assert [row["g1_winner"] == "error" for row in rows_of(path)] == [False, True]
        judge.script = lambda prompt: []
        judge.forget()
        assert judge_games(layout, settings).failed == 0
        assert judge.requests == 3
