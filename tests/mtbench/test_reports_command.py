import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_rows import SHARED, answer, match, rated, write_rows, write_sweep
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.reports.commands import report_command

SIX = [DecodingSettings(temperature=t, repetition_penalty=r) for t in (0, 0.5, 1.0) for r in (1, 1.15)]


def report(directory: Path | None = None, *judgments: Path, **options: Any) -> tuple[int, str]:
    """The exit status, and what people see."""
    said = io.StringIO()
    arguments: dict[str, Any] = {
        "output_format": "table",
        "duplicates": "last",
        "compare_judges": False,
        "reference": None,
        "bench": None,
        "questions": None,
        "data_dir": None,
        "models": (),
        "out": None,
    }
    status = report_command(directory, judgments, **(arguments | options), console=Console(file=said, width=120))
    return status, said.getvalue()


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_sweep(tmp_path: Path) -> None:
    models = write_sweep(tmp_path, SIX, range(81, 101, 2))
    status, said = report(tmp_path)
    assert status == 0
    assert "Difference from base_t0," in said and "Best per category" in said and "Degeneration" in said
    assert "too narrow" not in said
    assert "Failed judgments: 0 of 120" in said and "rule: last" in said and "writing" in said
    folder = tmp_path / "report"
    assert {path.name for path in folder.iterdir()} == {
        *("report.csv", "report.md"),
        *(f"{name}.{suffix}" for name in ("heat_map", "categories") for suffix in ("png", "svg")),
    }
    rows = rows_of((folder / "report.csv").read_text())
    averages = [row for row in rows if row["quantity"] == "score" and not row["turn"] and not row["category"]]
    assert {row["model"] for row in averages} == set(models)
    assert all(row["n"] == "20" and row["questions"] == "10" and row["n_failed"] == "0" for row in averages)
    best = max(averages, key=lambda row: float(row["value"]))
    (chosen,) = (row for row in rows if row["quantity"] == "best" and not row["category"])
    assert (chosen["model"], chosen["value"]) == (best["model"], best["value"])
    by_model = {row["model"]: float(row["value"]) for row in averages}
    for row in rows:
        if row["quantity"] == "difference" and not row["turn"]:
            assert float(row["value"]) == pytest.approx(by_model[row["model"]] - by_model["base_t0"])
    assert "![heat_map.png](<heat_map.png>)" in (folder / "report.md").read_text()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    report(tmp_path)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_picture_says_what_it_shows(tmp_path: Path) -> None:
    from matplotlib import rc_context

    write_sweep(tmp_path, SIX, range(81, 85))
    with rc_context({"svg.fonttype": "none"}):
        report(tmp_path)
    picture = (tmp_path / "report" / "heat_map.svg").read_text()
    for text in ("Score by gpt-4: repetition_penalty × temperature", "turn 2", "n = 4–8 a cell", "1.15"):
        assert text in picture
    for row in rows_of((tmp_path / "report" / "report.csv").read_text()):
        if row["quantity"] == "score" and not row["category"]:
            assert f">{float(row['value']):.2f}" in picture


def test_a_name_that_begins_another_word_is_not_shortened(tmp_path: Path) -> None:
    write_sweep(tmp_path, SIX[:2], range(81, 101))
    for path in (*(tmp_path / "model_answer").iterdir(), *(tmp_path / "settings").iterdir()):
        path.rename(path.with_name(path.name.replace("base_t0.json", "w.json")))
    judgments = Layout(tmp_path).judgments("gpt-4", "single")
    judgments.write_text(judgments.read_text().replace('"base_t0"', '"w"'))
    _, said = report(tmp_path)
    assert "\n writing " in said and "\n roleplay " in said and "\n t0 " in said


def test_answers_alone(tmp_path: Path) -> None:
    write_sweep(tmp_path, SIX[:3], range(1, 5), judged=False)
    _, said = report(tmp_path)
    assert "Degeneration" in said and "Scores" not in said
    assert "--bench or --questions" in said  # which questions these are is not known
    assert (tmp_path / "report" / "heat_map.png").stat().st_size > 5000


def test_judgments_alone_write_nothing(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "any.jsonl", [rated(81, 1, 5), rated(81, 2, -1), rated(81, 1, 7)])
    status, said = report(None, path, duplicates="first")
    assert status == 0 and list(tmp_path.iterdir()) == [path]
    assert "Failed judgments: 1 of 2" in said and "Duplicates: 1 (rule: first)" in said
    report(None, path, out=tmp_path / "figures")
    assert (tmp_path / "figures" / "categories.svg").exists()


@pytest.mark.parametrize("output_format", ["csv", "json", "markdown"])
def test_machine_formats_are_alone_on_stdout(tmp_path: Path, capsys: Any, output_format: str) -> None:
    write_sweep(tmp_path, SIX[:2], range(81, 84))
    _, said = report(tmp_path, output_format=output_format)
    printed = capsys.readouterr().out
    assert said == ""
    if output_format == "markdown":
        assert printed.startswith("# MT-Bench report\n") and "| model | average |" in printed
        assert "percentile bootstrap" in printed and "Judge: gpt-4" in printed
        return
    rows = rows_of(printed) if output_format == "csv" else json.loads(printed)["rows"]
    stored = rows_of((tmp_path / "report" / "report.csv").read_text())
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == stored


def test_json_has_no_nan(tmp_path: Path, capsys: Any) -> None:
    path = write_rows(tmp_path / "one.jsonl", [rated(81, 1, 5), rated(82, 2, -1)])
    report(None, path, output_format="json")
    content = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert next(row for row in content["rows"] if row["turn"] == 2)["value"] is None
    assert any("Failed judgments: 1 of 2" in note for note in content["notes"])


def test_csv_has_its_warnings_on_stderr(tmp_path: Path, capsys: Any) -> None:
    rows = [rated(81, 1, 5, served_by="x", date="2026-01-01"), rated(82, 1, 11, served_by="y", date="2026-01-01")]
    report(None, write_rows(tmp_path / "drift.jsonl", rows), output_format="csv")
    captured = capsys.readouterr()
    assert "intervals over 2 questions are too narrow" in captured.err
    assert "2 models served this judge" in captured.err and "1 ratings are not from 1 to 10" in captured.err
    assert captured.out.startswith("model,judge,quantity,turn,category,reference,value,lower,upper,n,")


def test_pairs_and_reference(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "p.jsonl", [match(81, "model_1", "model_1"), match(82, "error", "tie")])
    single = write_rows(tmp_path / "s.jsonl", [rated(q, 1, 5 + q % 3, model=m) for q in (81, 82) for m in "ab"])
    _, said = report(None, pairs, single, reference="b")
    assert "Pairwise by gpt-4" in said and "matches against b" in said and "Difference from b" in said
    assert "Failed judgments: 1 of 2" in said


def test_no_two_rows_of_the_csv_say_the_same(tmp_path: Path, capsys: Any) -> None:
    write_sweep(tmp_path, SIX[:2], range(81, 85))
    pairs = write_rows(tmp_path / "p.jsonl", [match(81, "model_1", "model_1"), match(82, "tie", "tie")])
    again = [rated(q, 1, 5, model=m, judge=j, repeat=r) for q in (81, 82) for m in "ab" for r in (0, 1) for j in "AB"]
    again += [rated(q, 1, 5, model=m) for q in (81, 82) for m in "ab"]
    single = write_rows(tmp_path / "s.jsonl", again)
    report(tmp_path, pairs, single, compare_judges=True, output_format="csv")
    rows = rows_of(capsys.readouterr().out)
    names = [
        tuple(row[name] for name in ("model", "judge", "quantity", "turn", "category", "reference")) for row in rows
    ]
    assert len(set(names)) == len(names) > 100


def test_compare_judges(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.jsonl", [rated(q, 1, 4 + q % 5, judge=j) for q in (81, 82, 83) for j in "AB"])
    _, said = report(None, path, compare_judges=True)
    assert "Agreement of judges" in said and "100.0%" in said
    with pytest.raises(UserError, match=r"1 judge \(gpt-4\)"):
        report(None, write_rows(tmp_path / "one.jsonl", [rated(81, 1, 5)]), compare_judges=True)


def test_categories_from_a_file(tmp_path: Path) -> None:
    questions = tmp_path / "question.jsonl"
    questions.write_text('{"question_id": 1, "category": "riddles", "turns": ["?"]}\n')
    path = write_rows(tmp_path / "s.jsonl", [rated(1, 1, 5), rated(2, 1, 5)])
    _, said = report(None, path, questions=questions)
    assert "riddles" in said and "1 questions without a category (2 ...)" in said
    with pytest.raises(UserError, match="none of the questions"):
        report(None, write_rows(tmp_path / "t.jsonl", [rated(7, 1, 5)]), questions=questions)
    with pytest.raises(UserError, match="name one"):
        report(None, path, questions=questions, bench="trial")


def test_categories_of_the_directory_itself(tmp_path: Path) -> None:
    """FastChat's own directories have a question.jsonl, and answers without categories."""
    rows = [{"question_id": q, "category": "riddles", "turns": ["?"]} for q in (1, 2)]
    (tmp_path / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_rows(Layout(tmp_path).judgments("gpt-4", "single"), [rated(1, 1, 5), rated(2, 1, 6)])
    _, said = report(tmp_path)
    assert "riddles" in said and "--bench or --questions" not in said


def test_pairwise_files_alone_need_no_categories(tmp_path: Path) -> None:
    _, said = report(None, write_rows(tmp_path / "p.jsonl", [match(1, "model_1", "model_1")]))
    assert "Pairwise by gpt-4" in said and "categor" not in said


def test_answers_of_other_questions_than_the_judged_ones_are_told(tmp_path: Path) -> None:
    layout, judged = Layout(tmp_path), range(1, 17)
    answers = [answer(q, ("a",)).model_copy(update={"category": "riddles"}) for q in range(9, 21)]
    for model in ("m", "n"):
        write_rows(layout.answers(model), [each.model_copy(update={"model_id": model}) for each in answers])
    write_rows(layout.judgments("gpt-4", "single"), [rated(q, 1, 5, model=m) for m in "mn" for q in judged])
    said = " ".join(report(tmp_path)[1].split())
    assert "m and 1 more: gpt-4 judged 16 questions, and the answers here are to 12, 8 of them the same" in said
    assert "categories are known of 12 of 20 questions only, so none is shown" in said
    write_rows(layout.judgments("gpt-4", "single"), [rated(q, 1, 5, model=m) for m in "mn" for q in range(9, 21)])
    said = report(tmp_path)[1]
    assert "riddles" in said and "Note:" not in said


def test_the_reference_is_the_first_in_the_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.jsonl", [rated(q, 1, 5 + q % 3, model=m) for q in (81, 82) for m in ("z", "a")])
    _, said = report(None, path)
    assert "Difference from z" in said
    write_rows(Layout(tmp_path).answers("a"), [answer(q, ("x",)) for q in (81, 82)])
    assert "Difference from z" in report(tmp_path, path)[1]


def test_captions_speak_of_what_is_there(tmp_path: Path) -> None:
    one = write_rows(tmp_path / "one.jsonl", [rated(81, 1, 5, model=m) for m in "ab"])
    _, said = report(None, one)
    assert "[ ]" not in said and "too narrow" not in said  # one question has no interval
    _, said = report(None, write_rows(tmp_path / "none.jsonl", [rated(q, 1, -1) for q in (81, 82)]))
    assert "[ ]" not in said and "too narrow" not in said
    assert "[ ]" in report(None, write_rows(tmp_path / "two.jsonl", [rated(81, 1, 5), rated(82, 1, 6)]))[1]


@pytest.mark.parametrize(("apart", "stars"), [(0, False), (3, True)])
def test_captions_of_figures(tmp_path: Path, apart: int, stars: bool) -> None:
    from matplotlib import rc_context

    rows = [rated(q, 1, 4 + q % 3 + (m == "b") * apart, model=m) for m in "ab" for q in range(81, 87)]
    with rc_context({"svg.fonttype": "none"}):
        report(None, write_rows(tmp_path / "s.jsonl", rows), out=tmp_path / "out")
    picture = " ".join((tmp_path / "out" / "heat_map.svg").read_text().split())
    assert "intervals over 6 questions" in picture
    assert ("*: differs from" in picture) == stars and "1 comparisons" not in picture


def test_unfinished_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    torn = write_rows(layout.judgments("gpt-4", "single"), [rated(81, 1, 5)])
    torn.write_text(torn.read_text() + '{"question_id": 82, "mod')
    write_rows(layout.answers("m"), [answer(81, ("a", "b"))])
    layout.answers("starting").touch()
    _, said = report(tmp_path)
    assert "ends in the middle of a line" in said and "is empty" in said and "of 1, in no mean" in said


def test_superseded_judgments_do_not_count(tmp_path: Path) -> None:
    """The judge puts them beside the others when an answer was generated anew."""
    path = write_rows(Layout(tmp_path).judgments("gpt-4", "single"), [rated(81, 1, 8), rated(82, 1, 6)])
    write_rows(path.with_suffix(".superseded.jsonl"), [rated(81, 1, 1)])
    report(tmp_path)
    (average,) = (
        row
        for row in rows_of((tmp_path / "report" / "report.csv").read_text())
        if row["quantity"] == "score" and not row["turn"] and not row["category"]
    )
    assert (average["value"], average["n"]) == ("7.0", "2")


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.jsonl", [rated(81, 1, 5)])
    with pytest.raises(UserError, match=r"cannot write to .*s.jsonl: File exists; give another folder with --out"):
        report(None, path, out=path)


def test_a_last_line_without_newline_counts(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.jsonl", [rated(81, 1, 5), rated(82, 1, 5)])
    path.write_text(path.read_text().rstrip("\n"))
    assert "Failed judgments: 0 of 2" in report(None, path)[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("", "no rows"),
        ("hello\n", "no JSON"),
        ("[1]\n", "no judgments"),
        ('{"question_id": 1}\n', "no judgments; a judgment has `score`"),
        (answer(1, ("a",)).model_dump_json() + "\n", "has answers: give the directory"),
        (rated(1, 1, 5).model_dump_json().replace("5.0", "NaN") + "\n", "line 1: .*score: .*finite"),
        (match(1, "tie", "tie").model_dump_json().replace("tie", "A") + "\n", "line 1: .*g1_winner"),
        (rated(1, 1, 5).model_dump_json() + "\n" + match(1, "tie", "tie").model_dump_json() + "\n", "line 2: .*single"),
        (
            match(1, "tie", "tie").model_dump_json() + "\n" + rated(1, 1, 5).model_dump_json() + "\n",
            "line 2: .*pairwise",
        ),
    ],
)
def test_wrong_files(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "x.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        report(None, path)


def test_wrong_names(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.jsonl", [rated(81, 1, 5, model="vicuna")])
    with pytest.raises(UserError, match=r"'vicunas'.* Did you mean 'vicuna'"):
        report(None, path, models=["vicunas"])
    with pytest.raises(UserError, match="no such model"):
        report(None, path, reference="llama")
    with pytest.raises(UserError, match="nothing to report"):
        report()
    with pytest.raises(UserError, match="no directory"):
        report(tmp_path / "absent")
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="neither model_answer"):
        report(tmp_path / "void")


def test_imports_no_torch() -> None:
    program = (
        "import sys, ia2_eval.mtbench.reports.commands; "
        "print([name for name in ('torch', 'lm_eval', 'pandas', 'transformers', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/mt_bench, real judgments")
def test_real_judgments() -> None:
    _, said = report(None, SHARED / "judgments" / "medusa.jsonl", reference="vicuna-7b-v1.3-greedy")
    assert "6.10" in said and "+0.23" in said and "Failed judgments: 0 of 480" in said
