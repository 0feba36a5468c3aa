"""Judging goes on where it stopped, and a finished file is the same however often it was disturbed."""

import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging import ledger
from ia2_eval.mtbench.judging.commands import judge_command
from ia2_eval.mtbench.judging.judge import judge_answers, judge_pairs
from ia2_eval.mtbench.judging.judgments import read_judgments
from tests.mtbench.faulty_judge import DECLINED, REFUSED, UNREAD, FaultyJudge, interrupted_at
from tests.mtbench.judged_answers import invented_answer, printed, quick, quiet, rows_of, write_answers

BENCH = load_bench("trial")

JUDGE = """
import sys
from pathlib import Path
from ia2_eval.mtbench.judging.commands import judge_command
from tests.mtbench.judged_answers import quick, quiet
out, url = sys.argv[1:]
judge_command(Path(out), quick(url, concurrency=4), None, "trial", None, None, False, None, quiet(), False)
"""
REST = (None, "trial", None, None, False, None)
"""What else `judge_command` takes."""


def lasting_faults(prompt):
    """Some prompts never get a rating."""
    kinds = sorted([*UNREAD, *REFUSED, *DECLINED])
    number = int(prompt[:8], 16)
    return [kinds[number % len(kinds)]] * 99 if number % 7 == 0 else []


def start(directory: Path, url: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", JUDGE, str(directory), url]
    here = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=here)


def wait_for_rows(path: Path, count: int) -> None:
    limit = time.monotonic() + 30
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_killed_interrupted_and_resumed_ends_like_undisturbed(tmp_path):
    calm = write_answers(tmp_path / "calm", BENCH, ["m1", "m2"])
    layout = write_answers(tmp_path / "disturbed", BENCH, ["m1", "m2"])
    path = layout.judgments("judge", "single")
    with FaultyJudge(lasting_faults) as judge:
        undisturbed = judge_answers(calm, BENCH, quick(judge.url), None, quiet())
        judge.pause = 0.05
        killed = start(layout.directory, judge.url)
        wait_for_rows(path, 8)
        killed.kill()
        killed.wait()
        with path.open("a") as file:
            file.write('{"question_id": 3, "mod')  # torn, as by a kill in the middle of a line
        console = quiet()
        with interrupted_at(judge, judge.requests + 20):
            assert judge_command(layout.directory, quick(judge.url, concurrency=4), *REST, console, False) == 130
        assert "interrupted: what was judged is kept; the same command continues" in printed(console)
        good = {row.key for row in read_judgments(path) if not row.failed}
        assert 10 < len(good) < 60
        judge.forget()
        judge.pause = 0.0
        outcome = judge_answers(layout, BENCH, quick(judge.url), None, quiet())
    assert outcome.kept == len(good)
    assert outcome.failed == undisturbed.failed > 3
    assert rows_of(path) == rows_of(undisturbed.path)


class FullDisk:
    """Takes half a line, then no more."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def writelines(self, lines):
        self.file.write("".join(lines)[:200])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch):
    layout = write_answers(tmp_path, BENCH, ["m1"])
    path = layout.judgments("judge", "single")
    whole = Path.open
    opened = 0

    def full_after_nine(self, mode="r", *args, **kwargs):
        nonlocal opened
        file = whole(self, mode, *args, **kwargs)
        opened += mode == "a"
        return FullDisk(file) if mode == "a" and opened == 10 else file

    with FaultyJudge(lambda prompt: []) as judge:
        with monkeypatch.context() as full:
            full.setattr(ledger.Path, "open", full_after_nine)
            with pytest.raises(UserError, match=r"cannot write .*judge_single.jsonl: No space left on device"):
                judge_answers(layout, BENCH, quick(judge.url), None, quiet())
        kept = len(read_judgments(path))
        assert 9 <= kept < 32
        assert judge.requests < 32
        outcome = judge_answers(layout, BENCH, quick(judge.url), None, quiet())
    assert (outcome.kept, outcome.judged, outcome.failed) == (kept, 32 - kept, 0)
    assert len(rows_of(path)) == 32


def test_a_judgment_of_another_answer_or_setting_is_moved_aside_and_said(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=3)
    with FaultyJudge(lambda prompt: []) as judge:
        settings = quick(judge.url)
        path = judge_answers(layout, BENCH, settings, None, quiet()).path
        first = rows_of(path)
        changed = invented_answer("m1", 2, 2)
        changed["choices"][0]["turns"][1] += " changed"
        lines = layout.answers("m1").read_text().splitlines()
        layout.answers("m1").write_text("\n".join([lines[0], json.dumps(changed), lines[2]]) + "\n")
        console = quiet()
        outcome = judge_answers(layout, BENCH, settings, ["m1"], console)
        assert (outcome.judged, outcome.kept) == (1, 5)  # the second turn alone has changed
        assert "1 judgments are of other answers" in printed(console)
        aside = path.with_suffix(".superseded.jsonl")
        assert rows_of(aside) == [
            row for row in first if (row["model"], row["question_id"], row["turn"]) == ("m1", 2, 2)
        ]
        assert len(rows_of(path)) == 12
        warmer = judge_answers(layout, BENCH, quick(judge.url, temperature=0.5), ["m2"], quiet())
        assert (warmer.judged, warmer.kept) == (6, 0)
    assert len(rows_of(path)) == 12
    assert len(rows_of(aside)) == 7


def test_repeats_can_be_added_and_are_never_thrown_away(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=2)
    with FaultyJudge(lambda prompt: []) as judge:
        counts = []
        for repeats in (1, 3, 2):
            outcome = judge_answers(layout, BENCH, quick(judge.url, repeats=repeats), None, quiet())
            counts.append((outcome.judged, outcome.kept, len(rows_of(outcome.path))))
        assert counts == [(4, 0, 4), (8, 4, 12), (0, 8, 12)]
        assert judge.requests == 12
    keys = [(row["question_id"], row["turn"], row["repeat"]) for row in rows_of(outcome.path)]
    assert keys == [(question, turn, repeat) for question in (1, 2) for turn in (1, 2) for repeat in range(3)]


def test_rows_that_another_program_wrote_are_neither_touched_nor_doubled(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2"], questions=2)
    path = layout.judgments("judge", "single")
    path.parent.mkdir()
    theirs = {
        "question_id": 1,
        "model": "m1",
        "judge": ["judge", "single-v1"],
        "user_prompt": "?",
        "judgment": "[[4]]",
        "score": 4.0,
        "turn": 1,
        "tstamp": 1.0,
    }
    path.write_text(json.dumps(theirs) + "\n")
    with FaultyJudge(lambda prompt: []) as judge:
        with pytest.raises(UserError, match=r"1 judgments of these answers that another program made.*--model"):
            judge_answers(layout, BENCH, quick(judge.url), None, quiet())
        assert judge.requests == 0
        outcome = judge_answers(layout, BENCH, quick(judge.url), ["m2"], quiet())
    rows = [json.loads(line) for line in outcome.path.read_text().splitlines()]
    assert rows[0] == theirs
    assert [row["model"] for row in rows] == ["m1", *["m2"] * 4]


def test_pairs_are_resumed_too(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1", "m2", "m3"], questions=2)
    with FaultyJudge(lambda prompt: []) as judge:
        first = judge_pairs(layout, BENCH, quick(judge.url), ["m1"], "m2", quiet())
        assert (first.judged, first.calls) == (4, 8)
        everything = judge_pairs(layout, BENCH, quick(judge.url), None, None, quiet())
        assert (everything.judged, everything.kept) == (8, 4)
    pairs = [(row["model_1"], row["model_2"]) for row in rows_of(everything.path)]
    assert pairs == [("m1", "m2")] * 4 + [("m1", "m3")] * 4 + [("m2", "m3")] * 4


def test_two_runs_never_write_the_same_file(tmp_path):
    layout = write_answers(tmp_path, BENCH, ["m1"], questions=1)
    with FaultyJudge(lambda prompt: [], pause=0.3) as judge, ThreadPoolExecutor(1) as elsewhere:
        first = elsewhere.submit(judge_answers, layout, BENCH, quick(judge.url), None, quiet())
        limit = time.monotonic() + 30
        while not judge.requests:
            assert time.monotonic() < limit
            time.sleep(0.005)
        with pytest.raises(UserError, match="another run is going on"):
            judge_answers(layout, BENCH, quick(judge.url), None, quiet())
        assert first.result().judged == 2
