from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from report_rows import answer, match, rated, write_rows, write_sweep
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.published.read import published_scores
from ia2_eval.mtbench.boards.command import board_command
from ia2_eval.mtbench.generation.answer_settings import AnswerSettings, ModelSettings
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.reports.degeneration import MEASURES
from ia2_eval.mtbench.reports.results import results
from ia2_eval.mtbench.reports.sources import MT_BENCH_IDS, read_sources
from ia2_eval.mtbench.reports.tidy import tidy

THREE = [
    DecodingSettings(),
    DecodingSettings(temperature=0.7, top_p=0.9),
    DecodingSettings(temperature="per_category", repetition_penalty=1.15),
]


def board(*directories: Path, published: bool = False, out: Path | None = None) -> str:
    """What people see."""
    said = io.StringIO()
    assert board_command(directories, published, out, Console(file=said, width=100)) == 0
    return said.getvalue()


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "mtbench.csv").read_text())))


def write_model(
    directory: Path,
    model: str,
    *,
    text: str = "one two three four five",
    questions: Sequence[int] = range(81, 161),
    score: float | None = 6,
    base: str | None = None,
    bench: str | None = "mt_bench",
    adapter: str | None = None,
    judge: str = "gpt-4",
) -> Path:
    """Answers of both turns, judgments of them, and settings where a base is given."""
    layout = Layout(directory)
    write_rows(layout.answers(model), [answer(id, (text, text), tokens=(5, 100), model=model) for id in questions])
    if base is not None:
        decoding = DecodingSettings(repetition_penalty=1.15, max_new_tokens=2048)
        settings = AnswerSettings(
            model=ModelSettings(base=base),
            fingerprint="",
            adapter=adapter,
            prompt_set="urial",
            prompt_sha256="",
            decoding=decoding,
            bench=bench,
        )
        layout.settings(model).parent.mkdir(parents=True, exist_ok=True)
        layout.settings(model).write_text(settings.model_dump_json())
    if score is not None:
        before = layout.judgments(judge, "single")
        lines = before.read_text() if before.exists() else ""
        rated_rows = [rated(id, turn, score, model=model, judge=judge) for id in questions for turn in (1, 2)]
        write_rows(before, rated_rows).write_text(lines + before.read_text())
    return directory


def test_numbers_are_those_of_the_report(tmp_path: Path) -> None:
    write_sweep(tmp_path, THREE, range(81, 101, 2))
    board(tmp_path)
    wanted = {
        (row.model, row.judge, row.quantity, row.turn, row.category): row
        for row in tidy(results(read_sources(tmp_path, ()), MT_BENCH_IDS))
        if row.quantity in ("score", *MEASURES)
    }
    found = {
        (
            row["model"],
            row["judge"] or None,
            row["quantity"],
            int(row["turn"] or 0) or None,
            row["category"] or None,
        ): row
        for row in rows_of(tmp_path / "board")
    }
    assert found.keys() == wanted.keys()
    for place, row in wanted.items():
        for name in ("value", "lower", "upper", "n", "questions"):
            assert found[place][name] == str(getattr(row, name)), (place, name)
    decodings = {(row["temperature"], row["top_p"], row["repetition_penalty"]) for row in found.values()}
    assert decodings == {("0", "1.0", "1.0"), ("0.7", "0.9", "1.0"), ("per_category", "1.0", "1.15")}


def test_every_file_is_written_and_repeats(tmp_path: Path) -> None:
    import pyarrow.parquet

    write_sweep(tmp_path, THREE, range(81, 86))
    said = board(tmp_path)
    folder = tmp_path / "board"
    assert {path.name for path in folder.iterdir()} == {
        f"mtbench.{end}" for end in ("csv", "parquet", "md", "tex", "html")
    }
    before = {path: path.read_bytes() for path in folder.iterdir()}
    board(tmp_path)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    table = pyarrow.parquet.read_table(folder / "mtbench.parquet")
    assert table.column_names == list(rows_of(folder)[0])
    assert table.num_rows == len(rows_of(folder))
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["value"], types["n"], types["temperature"], types["adapter"]) == ("double", "int64", *["string"] * 2)
    for name in ("mtbench.md", "mtbench.tex", "mtbench.html"):
        content = (folder / name).read_text()
        assert "MT-Bench" in content and "judge gpt-4" in content.lower() and "degeneration" in content
    assert max(map(len, said.splitlines()[:-1])) <= 100  # the last is a path
    assert "per category" in said and "95 %" in said and "t0.7_p0.9" in said


def test_categories_stand_under_their_names(tmp_path: Path) -> None:
    rows = [rated(question, 1, score) for question, score in ((81, 3), (91, 9), (111, 5))]
    write_rows(Layout(tmp_path).judgments("gpt-4", "single"), rows)
    board(tmp_path)
    page = (tmp_path / "board" / "mtbench.md").read_text().partition("per category")[2]
    header, _, row = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")][:3]
    told = dict(zip(header, row, strict=True))
    assert (told["writing score"], told["roleplay score"], told["math score"]) == ("3.00", "9.00", "5.00")


def test_judges_have_tables_of_their_own(tmp_path: Path) -> None:
    for judge, score in (("gpt-4", 6.0), ("other", 9.0)):
        write_model(tmp_path, "m", judge=judge, score=score)
    said = board(tmp_path)
    assert "judge gpt-4" in said and "judge other" in said
    assert "2 judges (gpt-4, other): scores by different judges do not compare" in said
    ours = {(row["judge"], row["value"]) for row in rows_of(tmp_path / "board") if row["quantity"] == "score"}
    assert ours == {("gpt-4", "6.0"), ("other", "9.0")}


def test_who_judged_is_told(tmp_path: Path) -> None:
    rows = [
        rated(81, 1, 5, served_by="gpt-4-0613", date="2026-01-01"),
        rated(81, 1, 7, served_by="gpt-4-0613", date="2026-01-02", repeat=1),
        rated(82, 1, -1, served_by="gpt-4-0613", date="2026-01-02"),
    ]
    write_rows(Layout(tmp_path).judgments("gpt-4", "single"), rows)
    said = " ".join(board(tmp_path).split())
    assert "Judge: gpt-4, served by gpt-4-0613, judged 2026-01-01 to 2026-01-02." in said
    assert "Warning: judged on 2 days" in said and "Judge prompts: single-v1. Ratings of one answer: 2." in said
    assert "2, 1 failed" in said and "Failed judgments: 1 of 3" in said
    row = next(row for row in rows_of(tmp_path / "board") if not row["turn"] and not row["category"])
    assert (row["served_by"], row["judge_prompts"], row["repeats"]) == ("gpt-4-0613", "single-v1", "2")
    assert (row["n"], row["failed"], row["last_judged"]) == ("2", "1", "2026-01-02")


def test_the_trial_judge_is_warned_of(tmp_path: Path) -> None:
    write_rows(Layout(tmp_path).judgments("trial", "single"), [rated(81, 1, 5, judge="trial", served_by="trial-judge")])
    said = board(tmp_path)
    assert said.count("Warning: the trial judge judges nothing") == 2  # beneath each table of its scores
    assert (tmp_path / "board" / "mtbench.html").read_text().count("the trial judge judges nothing") == 2


def test_one_id_for_different_answers_is_told_apart_by_directory(tmp_path: Path) -> None:
    one = write_model(tmp_path / "one", "m", score=4)
    two = write_model(tmp_path / "two", "m", text="others", score=8)
    board(one, two, out=tmp_path / "out")
    scores = {row["model"]: row["value"] for row in rows_of(tmp_path / "out") if row["quantity"] == "score"}
    assert scores == {"m (one)": "4.0", "m (two)": "8.0"}
    far = write_model(tmp_path / "far" / "one", "m", text="third", score=5)  # another directory of the same name
    board(one, far, out=tmp_path / "out")
    models = {row["model"] for row in rows_of(tmp_path / "out")}
    assert models == {f"m ({one})", f"m ({far})"}


def test_equal_answers_are_one_model(tmp_path: Path) -> None:
    one = write_model(tmp_path / "one", "m", judge="a", score=4)
    two = write_model(tmp_path / "two", "m", judge="b", score=8)
    said = board(one, two, one / ".." / "one", out=tmp_path / "out")
    scores = {(row["model"], row["judge"], row["n"]) for row in rows_of(tmp_path / "out") if not row["turn"]}
    assert {("m", "a", "160"), ("m", "b", "160")} <= scores
    assert {model for model, *_ in scores} == {"m"}
    copy = write_model(tmp_path / "copy", "m", judge="a", score=4)
    board(one, copy, out=tmp_path / "out")
    rows = [row for row in rows_of(tmp_path / "out") if row["judge"] == "a"]
    assert {row["duplicates"] for row in rows} == {"0"}  # a copy of a judgment is no second judgment
    assert "(one)" not in said


def test_benches_stand_apart(tmp_path: Path) -> None:
    write_model(tmp_path, "m")
    write_model(tmp_path, "n", base="embedded", bench="trial", questions=range(1, 17), score=3)
    said = board(tmp_path)
    assert "MT-Bench · mt_bench · judge gpt-4" in said and "MT-Bench · trial · judge gpt-4" in said
    assert "2 benches (mt_bench, trial): scores on different questions do not compare" in said


def test_answers_alone_have_degeneration_only(tmp_path: Path) -> None:
    write_model(tmp_path, "m", score=None)
    said = board(tmp_path)
    assert "degeneration, without a judge" in said and "per category" not in said
    assert "Note: mt_bench: nothing is judged yet: `ia2-eval mtbench judge` rates answers" in said
    row = next(row for row in rows_of(tmp_path / "board") if row["quantity"] == "truncated" and not row["turn"])
    assert row["value"] == "0.5"  # every second turn
    write_model(tmp_path, "n", base="x")
    assert "mt_bench: not judged yet: m" in board(tmp_path)


def test_settings_that_differ_in_what_is_not_shown_have_their_ids(tmp_path: Path) -> None:
    for model in ("seed0", "seed1"):
        write_model(tmp_path, model, base="Llama-2-7b-hf")
    said = board(tmp_path)
    assert "seed0" in said and "seed1" in said


def test_long_names_are_shortened_where_that_tells_them_apart(tmp_path: Path) -> None:
    long = [f"{'a' * 60}{end}" for end in ("x", "y")]
    for model in long:
        write_model(tmp_path, model, questions=range(81, 84))
    said = board(tmp_path)
    assert f"{'a' * 23}…{'a' * 11}x" in said and max(map(len, said.splitlines()[:-1])) <= 100
    assert {row["model"] for row in rows_of(tmp_path / "board")} == {*long}
    write_model(tmp_path, f"{'a' * 30}b{'a' * 29}x", questions=range(81, 84))  # differs in the middle
    assert f" {long[0]} " in board(tmp_path)


def test_an_adapted_model_is_not_shown_as_its_base(tmp_path: Path) -> None:
    write_model(tmp_path, "tuned", base="Llama-2-7b-hf", adapter="f" * 64)
    said = board(tmp_path, published=True)
    assert " Llama-2-7b-hf  " not in said and " tuned " in said and "ours, tuned" in said


def test_wrong_directories(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no MT-Bench directory: .*--out of `ia2-eval mtbench` generate"):
        board(tmp_path)
    with pytest.raises(UserError, match="board of 2 directories needs a place of its own: give --out"):
        board(tmp_path, tmp_path / "other")
    pairs = write_rows(tmp_path / "pairs" / "model_judgment" / "gpt-4_pair.jsonl", [match(81, "tie", "tie")])
    with pytest.raises(UserError, match="only pairwise judgments"):
        board(pairs.parent.parent)
    write_model(tmp_path / "fine", "m")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="give another folder with --out"):
        board(tmp_path / "fine", out=tmp_path / "file")


def test_published_scores_stand_beside_the_same_base(tmp_path: Path) -> None:
    write_model(tmp_path, "mine", base="meta-llama/Llama-2-7b-hf", judge="judge-x", questions=range(81, 91))
    write_model(tmp_path, "other", base="nobody/knows", judge="judge-x")
    said = " ".join(board(tmp_path, published=True).split())
    assert "MT-Bench · Llama-2-7b-hf beside published scores" in said and "knows beside" not in said
    assert "Warning: scores compare only where judge, its version, prompts, references and time are the same" in said
    assert "over 10 of 80 questions" in said and "judge-x" in said
    rows = [row for row in rows_of(tmp_path / "board") if row["origin"] == "published"]
    whole = {(row["judge"], row["prompts"], row["repetition_penalty"]): row for row in rows if not row["turn"]}
    assert {row["base"] for row in rows} == {"Llama-2-7b-hf"}
    urial = next(row for row in rows if row["source"].startswith("urial_table") and not row["turn"] + row["category"])
    assert (urial["value"], urial["temperature"], urial["repetition_penalty"]) == ("4.83125", "0", "1.15")
    of_table = [row for row in rows if row["source"].startswith("urial_table")]
    (score,) = (each for each in published_scores() if (each.origin, each.base) == ("urial_table", "Llama-2-7b-hf"))
    turns = {row["turn"]: float(row["value"]) for row in of_table if not row["category"]}
    assert turns == {"": score.average, "1": score.turn_1, "2": score.turn_2}
    math = next(row for row in of_table if row["category"] == "math")
    assert float(math["value"]) == score.math
    assert ("gpt-4", "fastchat_default", "") in whole  # without demonstrations
    page = (tmp_path / "board" / "mtbench.md").read_text()
    lines = [line for line in page.partition("beside published")[2].splitlines() if line.startswith("| ")]
    assert lines[2].startswith("| ours | judge-x | urial | t0\\_rp1.15\\_max2048 | 6.00 |")
    assert lines[3].startswith("| URIAL, table | gpt-4 | urial | t0\\_rp1.15\\_max2048 | 4.83 |")
    assert lines[4].startswith("| recomputed | gpt-4 2024-01 | fastchat\\_default | fastchat | 3.97 |")


def test_published_scores_are_found_by_the_id_in_the_files(tmp_path: Path) -> None:
    """Judgments of other origin, of one id in two directories."""
    one, two = (
        write_rows(Layout(tmp_path / name).judgments("gpt-4", "single"), [rated(81, 1, score, model="vicuna-7b-v1.3")])
        for name, score in (("one", 4), ("two", 8))
    )
    said = board(one.parent.parent, two.parent.parent, published=True, out=tmp_path / "out")
    assert "vicuna-7b-v1.3 beside published scores" in said
    assert "ours, vicuna-7b-v1.3 (one)" in said and "ours, vicuna-7b-v1.3 (two)" in said


def test_nothing_published_of_these_models(tmp_path: Path) -> None:
    write_model(tmp_path, "m", base="nobody/knows")
    with pytest.raises(UserError, match=r"no published scores of these models \(.*: knows\)\. There are of gpt-4, "):
        board(tmp_path, published=True)
    assert not (tmp_path / "board").exists()
    trial = write_model(tmp_path / "trial", "n", base="Llama-2-7b-hf", bench="trial", questions=range(1, 9))
    with pytest.raises(UserError, match=r"judged here on MT-Bench's questions: none"):
        board(trial, published=True)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_model(tmp_path, "m", base="x")
    Layout(tmp_path).settings("m").write_text("{")
    with pytest.raises(UserError, match=r"settings/m\.json is damaged"):
        board(tmp_path)


def test_categories_that_are_not_known_are_told(tmp_path: Path) -> None:
    write_rows(Layout(tmp_path).judgments("gpt-4", "single"), [rated(1, 1, 5), rated(2, 1, 6)])
    said = board(tmp_path)
    assert "unknown questions: categories are not known; a question.jsonl in the directory would tell" in said
    questions = [{"question_id": id, "category": "riddles", "turns": ["?"]} for id in (1, 2)]
    (tmp_path / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    assert "riddles" in board(tmp_path)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    write_model(tmp_path, "m", base="Llama-2-7b-hf")
    code = (
        "import sys, pathlib, rich.console\n"
        "from ia2_eval.mtbench.boards.command import board_command\n"
        "board_command([pathlib.Path(sys.argv[1])], True, None, rich.console.Console())\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'fastchat'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
