"""`ia2-eval leaderboard compare`: its pairs, its faults, its tables and pictures."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from comparison_run import run, write
from synthetic_run import make_record, write_plan
from typer.testing import CliRunner

from ia2_eval.cli import app
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.significance.command import choose_pairs
from ia2_eval.leaderboard.significance.numerals import p_text
from ia2_eval.leaderboard.style import Column


def test_other_examples_are_a_fault_and_other_seeds_count(tmp_path):
    records = write(tmp_path, methods=("icl", "sft"), sources=("agn",))
    path = tmp_path / records[0].evaluations[0].samples
    path.write_text(path.read_text().replace('"gold": "0"', '"gold": "1"'))
    status, text, lines = run(tmp_path)
    assert status == 1
    assert "seed 0: the two answered other examples" in text
    assert {line["seeds"] for line in lines} == {"2"}


def test_a_damaged_file_is_named_and_the_status_says_so(tmp_path):
    records = write(tmp_path, methods=("icl", "sft"), sources=("agn",))
    (tmp_path / records[0].evaluations[0].samples).write_text("{}\n")
    status, text, lines = run(tmp_path)
    assert status == 1
    assert records[0].evaluations[0].samples in text
    assert {line["seeds"] for line in lines} == {"2"}
    (tmp_path / "records" / f"{records[0].key}.json").write_text("no record")
    status, text, _ = run(tmp_path)
    assert status == 1 and f"records/{records[0].key}.json" in text


TITLES = {"sst2": "SST2", "poems": "PoemS\\*", "agn": "AGN", "sciqr": "SciQr"}


def rows_of(page, title):
    """Lines of one table of a Markdown page, by its columns."""
    lines = [line for line in page.partition(title)[2].partition("\n## ")[0].splitlines() if line.startswith("|")]
    header, _, *rows = [line.strip("| ").split(" | ") for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_effect_sizes_power_and_every_test_can_be_read(tmp_path):
    """The page says of each place what the CSV says."""
    write(tmp_path, sources=("sst2", "agn", "sciqr"), seeds=8)
    _, text, lines = run(tmp_path, ["ia2_sft"], ["sft"])
    assert any(float(line["p_holm"]) < 0.05 for line in lines if line["primary"] == "True" and line["metric"] == "acc")
    page = (tmp_path / "comparisons" / "comparisons.md").read_text()
    (row,) = [row for row in rows_of(page, "effect, power and every test") if row["eval"] == "AGN"]
    at_agn = {(line["metric"], line["test"]): line for line in lines if line["eval"] == "agn"}
    crossed = at_agn["acc", "crossed"]
    assert row["d\\_z acc"] == f"{float(crossed['effect_size']):+.2f}"
    assert row["detectable acc"] == f"{100 * float(crossed['detectable']):.1f}"
    assert row["for 80 % power acc"] == f"+{max(0, int(crossed['needed']) - 8)} seeds"
    assert row["only right acc"] == f"{crossed['better']} : {crossed['worse']}"
    names = {"crossed": "crossed", "t": "t", "wilcoxon": "Wilcoxon", "mcnemar": "McNemar", "bootstrap": "bootstrap"}
    for (metric, test), line in at_agn.items():
        assert row[f"p: {names[test]} {metric}"].lstrip("\\") == p_text(float(line["p"])), (metric, test)
    assert row["p: McNemar ECE"] == "–"
    for row in rows_of(page, "protocol strict · comparisons"):
        (found,) = (
            line
            for line in lines
            if line["primary"] == "True" and line["metric"] == "acc" and TITLES.get(line["eval"]) == row["eval"]
        )
        bold = [name for name, cell in row.items() if cell.startswith("**") and name.endswith("acc")]
        assert bold == ["p (Holm) acc"] * (float(found["p_holm"]) < 0.05)
    (pooled,) = rows_of(page, "over datasets")
    of_datasets = next(line for line in lines if line["scope"] == "all" and line["metric"] == "acc")
    assert pooled["d\\_z acc"] == f"{float(of_datasets['effect_size']):+.2f}"
    assert "more seeds, if the true difference and spread are the observed ones" in page
    assert "more seeds: for 80 % power, if the true difference" in " ".join(text.split())


def test_output_is_the_same_again(tmp_path):
    write(tmp_path, methods=("sft", "ia2_sft"))
    run(tmp_path, out=tmp_path / "one")
    run(tmp_path, out=tmp_path / "two")
    files = [sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("one", "two")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert {path.suffix for path in files[0]} == {".csv", ".md", ".png", ".svg"}
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))
    page = (tmp_path / "one" / "comparisons.md").read_text()
    assert "IA2 → SFT" in page and "ia2_sft_vs_sft.png" in page


def test_which_pairs_are_compared():
    icl, sft, weight, ia2 = Column("icl"), Column("sft"), Column("sft", "w"), Column("ia2")
    assert choose_pairs([icl, sft, ia2], [], []) == [(sft, icl), (ia2, icl), (ia2, sft)]
    assert choose_pairs([icl, sft, ia2], ["ia2"], []) == [(ia2, icl), (ia2, sft)]
    assert choose_pairs([icl, sft, ia2], [], ["sft"]) == [(sft, icl), (ia2, sft)]
    assert choose_pairs([icl, sft, ia2], ["icl"], []) == [(sft, icl), (ia2, icl)]
    assert choose_pairs([icl, sft, ia2], ["icl"], ["sft"]) == [(icl, sft)]  # asked for
    assert choose_pairs([icl, sft, weight, ia2], ["sft"], ["icl"]) == [(sft, icl), (weight, icl)]
    assert choose_pairs([icl, ia2], ["icl", "ia2"], ["icl", "ia2"]) == [(ia2, icl)]
    many = [icl, sft, weight, ia2, *(Column(f"other{i}") for i in range(3))]
    assert choose_pairs(many, [], []) == [(sft, icl), *((column, sft) for column in many[2:])]


def test_methods_are_known_by_name_and_by_title():
    sft, weight, both = Column("sft"), Column("sft", "w"), Column("ia2_sft")
    columns = [sft, weight, both]
    assert choose_pairs(columns, ["IA2 → SFT"], ["SFT"]) == choose_pairs(columns, ["ia2_sft"], ["sft"])
    assert choose_pairs(columns, ["IA2 → SFT"], ["SFT (w)"]) == [(both, weight)]
    with pytest.raises(UserError, match=r"Did you mean 'IA2 → SFT'"):
        choose_pairs(columns, ["IA2→ SFT"], [])


def test_wrong_input(tmp_path):
    write(tmp_path, methods=("icl", "ia2_sft"), sources=("agn",), seeds=1)
    with pytest.raises(UserError, match=r"'ia2_sftt'. Did you mean 'ia2_sft'"):
        run(tmp_path, ["ia2_sftt"])
    with pytest.raises(UserError, match="--method and --against are both ICL: give another"):
        run(tmp_path, ["icl"], ["ICL"])
    with pytest.raises(UserError, match="needs two columns, there is ICL"):
        choose_pairs([Column("icl")], ["icl"], [])
    with pytest.raises(UserError, match="give --out"):
        run([tmp_path, tmp_path])
    with pytest.raises(UserError, match="nothing"):
        run(tmp_path / "nothing")
    cells = [make_record(name, {"agn": {"acc": 1}}, source="agn") for name in ("icl", "sft")]
    planned = write_plan(tmp_path / "planned", cells)
    with pytest.raises(UserError, match=r"^nothing to compare: no cell has finished yet$"):
        run(planned)
    assert not (planned / "comparisons").exists()


def test_what_is_not_compared_is_one_line_of_each_cause(tmp_path):
    write(tmp_path, methods=("sft",), sources=("sst2", "agn"), seeds=3)
    write(tmp_path, methods=("ia2_sft",), sources=("sst2", "agn"), seeds=2)
    write(tmp_path, methods=("icl",), sources=("sciqr",), seeds=1)
    (tmp_path / "plan.json").unlink()
    _, text, _ = run(tmp_path, width=80)
    (line,) = [line for line in text.splitlines() if "only one of the two" in line]
    assert "left out: 3 comparisons, such as " in line and line.endswith("IA2 → SFT and SFT, 1 seed")


def test_figures_of_other_pairs_are_removed(tmp_path):
    write(tmp_path, sources=("agn",), seeds=1)
    run(tmp_path)
    (folder,) = (path for path in (tmp_path / "comparisons").iterdir() if path.is_dir())
    assert {path.stem for path in folder.iterdir()} == {"ia2_sft_vs_icl", "ia2_sft_vs_sft", "sft_vs_icl"}
    kept = [folder / "mine.png", folder / "a_vs_b.pdf", tmp_path / "comparisons" / "a_vs_b.png"]
    for path in kept:
        path.touch()
    run(tmp_path, ["icl"], ["sft"])
    assert {path.name for path in folder.iterdir()} == {"icl_vs_sft.png", "icl_vs_sft.svg", "mine.png", "a_vs_b.pdf"}
    assert all(path.exists() for path in kept)


def test_several_directories_and_the_command_line(tmp_path):
    write(tmp_path / "a", methods=("icl",), sources=("agn",), seeds=2)
    write(tmp_path / "b", methods=("ia2_sft",), sources=("agn",), seeds=2)
    arguments = ["leaderboard", "compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(app, [*arguments, "--method", "ia2_sft", "--against", "icl"])
    assert found.exit_code == 0, found.output
    assert "two seeds in 1 of 1 comparisons" in found.output
    (line,) = {
        (line["method"], line["against"], line["seeds"])
        for line in csv.DictReader((tmp_path / "out" / "comparisons.csv").open())
    }
    assert line == ("ia2_sft", "icl", "2")


def test_nothing_of_it_imports_torch():
    code = "import ia2_eval.leaderboard.significance.command as c, ia2_eval.leaderboard.significance.best, sys\n"
    code += "print({'torch', 'scipy', 'statsmodels', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_column_is_documented():
    from ia2_eval.leaderboard.significance.tidy import COLUMNS

    document = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in document] == []
