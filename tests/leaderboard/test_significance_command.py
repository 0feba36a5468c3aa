"""`ia2-eval leaderboard compare` from records on disk to tables, CSV and pictures."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from math import inf
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from synthetic_run import generation, make_record, sample, write_plan, write_run
from typer.testing import CliRunner

from ia2_eval.cli import app
from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.leaderboard.significance.command import choose_pairs, compare_command
from ia2_eval.leaderboard.style import Column
from ia2_eval.scoring.calibration import expected_calibration_error

SKILL = {"no_icl": 0.45, "icl": 0.6, "sft": 0.62, "ia2_sft": 0.85}
CONFIDENCE = {"no_icl": 0.6, "icl": 0.65, "sft": 0.95, "ia2_sft": 0.85}


def answers(method, source, seed, n):
    """Right or not, by chance."""
    rng = np.random.default_rng([len(method), len(source), seed])
    return rng.random(n) < SKILL[method] + 0.03 * rng.standard_normal()


def write(directory, methods=("icl", "sft", "ia2_sft"), sources=("sst2", "agn"), sizes=(4,), seeds=3, n=60, **keywords):
    """A run whose samples are those of `answers`, on the sources and, of SST2, on PoemS."""
    records = []
    for method in methods:
        for source in sources:
            evals = (source, "poems") if source == "sst2" else (source,)
            for size in sizes if method != "no_icl" else sizes[:1]:
                for seed in range(seeds if method != "no_icl" else 1):
                    record = make_record(
                        method,
                        {name: {"acc": 0.5, "ece": 0.1} for name in evals},
                        source=source,
                        n=size,
                        seed=seed,
                        examples=n,
                        **keywords,
                    )
                    right = answers(method, source, seed, n)
                    write_run(directory, [record], [sample(CONFIDENCE[method], bool(hit)) for hit in right])
                    records.append(record)
    write_plan(directory, records)
    return records


def run(directory, methods=(), against=(), out=None, width=100):
    """Exit status, what was printed, and the lines of the CSV."""
    text = io.StringIO()
    directories = directory if isinstance(directory, list) else [directory]
    status = compare_command(directories, methods, against, out, Console(file=text, width=width))
    written = (out or directories[0] / "comparisons") / "comparisons.csv"
    return status, text.getvalue(), list(csv.DictReader(written.open()))


def only(lines, **wanted):
    (line,) = [line for line in lines if all(line[name] == value for name, value in wanted.items())]
    return line


AT_SST2 = {"scope": "place", "source": "sst2", "eval": "sst2", "method": "ia2_sft", "against": "sft"}


def test_every_number_of_a_comparison(tmp_path):
    write(tmp_path)
    status, _, lines = run(tmp_path)
    assert status == 0
    right = {name: np.array([answers(name, "sst2", seed, 60) for seed in range(3)]) for name in ("sft", "ia2_sft")}
    one, other = right["ia2_sft"], right["sft"]
    differences = one.mean(axis=1) - other.mean(axis=1)

    t = only(lines, **AT_SST2, metric="acc", test="t")
    expected = stats.ttest_rel(one.mean(axis=1), other.mean(axis=1))
    assert float(t["p"]) == pytest.approx(expected.pvalue)
    assert float(t["ci_low"]) == pytest.approx(expected.confidence_interval().low)
    assert float(t["difference"]) == pytest.approx(differences.mean())
    assert float(t["value"]) == pytest.approx(one.mean())
    assert float(t["against_value"]) == pytest.approx(other.mean())
    assert float(t["effect_size"]) == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert (t["seeds"], t["n"], t["unmatched_seeds"], t["over"]) == ("3", "60", "0", "seeds")
    b, c = (one & ~other).sum(), (~one & other).sum()
    assert (int(t["better"]), int(t["worse"]), float(t["odds_ratio"])) == (b, c, pytest.approx(b / c))

    crossed = only(lines, **AT_SST2, metric="acc", test="crossed")
    covariances = np.cov(one.astype(float) - other)
    shared = max(0.0, (covariances.sum() - np.trace(covariances)) / 6 / 60)
    statistic = differences.mean() / np.sqrt(differences.var(ddof=1) / 3 + shared)
    assert float(crossed["p"]) == pytest.approx(2 * stats.t.sf(statistic, 2))
    assert (crossed["primary"], t["primary"]) == ("True", "False")

    ece = only(lines, **AT_SST2, metric="ECE", test="t")
    errors = [
        expected_calibration_error(np.full(60, CONFIDENCE[name]), right[name][seed])
        for name in ("ia2_sft", "sft")
        for seed in range(3)
    ]
    assert float(ece["p"]) == pytest.approx(stats.ttest_rel(errors[:3], errors[3:]).pvalue)
    assert float(ece["left_out"]) == 0
    tests = {"crossed", "t", "wilcoxon", "mcnemar", "bootstrap"}
    at_place = [line for line in lines if all(line[name] == value for name, value in AT_SST2.items())]
    assert {line["test"] for line in at_place if line["metric"] == "acc"} == tests
    assert {line["test"] for line in at_place if line["metric"] == "ECE"} == tests - {"mcnemar"}


def test_holm_is_over_all_comparisons_of_the_command(tmp_path):
    write(tmp_path)
    from statsmodels.stats.multitest import multipletests

    _, _, lines = run(tmp_path)
    family = [line for line in lines if (line["scope"], line["metric"], line["primary"]) == ("place", "acc", "True")]
    assert len(family) == 3 * 3  # pairs, places
    expected = multipletests([float(line["p"]) for line in family], method="holm")[1]
    assert [float(line["p_holm"]) for line in family] == pytest.approx(list(expected))
    _, _, fewer = run(tmp_path, ["ia2_sft"], ["sft"], tmp_path / "few")
    one = only(fewer, **AT_SST2, metric="acc", test="crossed")
    assert float(one["p_holm"]) < float(only(lines, **AT_SST2, metric="acc", test="crossed")["p_holm"])


def test_over_datasets_each_counts_once(tmp_path):
    write(tmp_path, sources=("sst2", "agn", "sciqr"), sizes=(4, 8))
    _, text, lines = run(tmp_path, ["ia2_sft"], ["sft"])
    pooled = only(lines, scope="all", sets="own", metric="acc")
    one, other = (
        np.array([[answers(name, source, seed, 60).mean() for seed in range(3)] for source in ("sst2", "agn", "sciqr")])
        for name in ("ia2_sft", "sft")
    )
    means = (one - other).mean(axis=1)
    assert float(pooled["p"]) == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
    assert (pooled["datasets"], pooled["seeds"], pooled["unit"]) == ("3", "18", "datasets")
    assert [line["N"] for line in lines if line["scope"] == "N" and line["metric"] == "acc"] == ["4", "8"]
    assert "3 datasets are few: with 2 degrees of freedom" in " ".join(text.split())
    assert not [line for line in lines if line["scope"] != "place" and line["sets"] == "ood"]  # one source has any


def test_one_seed_says_what_cannot_be_told(tmp_path):
    write(tmp_path, seeds=1, sources=("sst2",))
    status, text, lines = run(tmp_path, ["ia2_sft"], ["sft"])
    assert status == 0
    assert "2 of 2 comparisons have one seed" in text
    assert "one dataset only" in text
    assert "whether these checkpoints differ" in " ".join(text.split())
    primary = only(lines, **AT_SST2, metric="acc", primary="True")
    one, other = answers("ia2_sft", "sst2", 0, 60), answers("sft", "sst2", 0, 60)
    b, c = (one & ~other).sum(), (~one & other).sum()
    assert primary["test"] == "mcnemar"
    assert float(primary["p"]) == pytest.approx(stats.binomtest(b, b + c).pvalue)
    assert only(lines, **AT_SST2, metric="acc", test="t")["p"] == ""
    assert only(lines, **AT_SST2, metric="ECE", primary="True")["test"] == "bootstrap"


def test_what_has_no_seed_is_compared_with_every_seed(tmp_path):
    write(tmp_path, methods=("no_icl", "icl"), sources=("sst2",), sizes=(4, 8))
    _, _, lines = run(tmp_path)
    found = [line for line in lines if line["test"] == "t" and line["metric"] == "acc" and line["eval"] == "sst2"]
    assert [(line["method"], line["against"], line["N"], line["seeds"]) for line in found] == [
        ("icl", "no_icl", "4", "3"),
        ("icl", "no_icl", "8", "3"),
    ]


def test_untrained_columns_are_compared_once_for_all_adapters(tmp_path):
    write(tmp_path, methods=("no_icl", "icl"), sources=("agn",))
    for rank in (4, 8):
        write(tmp_path, methods=("sft",), sources=("agn",), adapter=Lora(rank=rank))
    (tmp_path / "plan.json").unlink()
    _, _, lines = run(tmp_path)
    pairs = [(line["method"], line["against"]) for line in lines if (line["test"], line["metric"]) == ("t", "acc")]
    assert sorted(pairs) == [("icl", "no_icl"), *[("sft", "icl")] * 2, *[("sft", "no_icl")] * 2]
    assert len({line["adapter"] for line in lines}) == 2


def test_unmatched_seeds_are_counted_and_told(tmp_path):
    write(tmp_path, methods=("sft",), sources=("agn",), seeds=5)
    write(tmp_path, methods=("ia2_sft",), sources=("agn",), seeds=3)
    (tmp_path / "plan.json").unlink()
    _, text, lines = run(tmp_path)
    assert "2 seeds that only one of them has are left out" in text
    assert {(line["seeds"], line["unmatched_seeds"]) for line in lines} == {("3", "2")}


def test_unknown_confidences_are_left_out_of_both_and_counted(tmp_path):
    for method, step in (("icl", 3), ("sft", 4)):
        record = make_record(method, {"gsm8k": {"acc": 0.5, "ece": 0.1}}, source="gsm8k", examples=24)
        rows = [generation(None if i % step == 0 else 0.7, i % 2 == 0) for i in range(24)]
        write_run(tmp_path, [record], rows)
    _, text, lines = run(tmp_path)
    line = only(lines, metric="ECE", test="bootstrap")
    assert float(line["left_out"]) == 12  # multiples of 3 or 4 below 24
    assert "at most 50 per cent" in text
    assert only(lines, metric="acc", test="mcnemar")["left_out"] == ""


def test_without_any_common_confidence_only_the_accuracy_is_compared(tmp_path):
    for method in ("icl", "sft"):
        record = make_record(method, {"gsm8k": {"acc": 0.5}}, source="gsm8k", examples=6)
        write_run(tmp_path, [record], [generation(None, i % 2 == 0) for i in range(6)])
    _, _, lines = run(tmp_path)
    assert {line["metric"] for line in lines} == {"acc"}


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


def test_the_table_fits(tmp_path):
    write(tmp_path, methods=("no_icl", "ia2_sft"), sizes=(4, 128))
    _, text, _ = run(tmp_path)
    table = text.split("\n/")[0].splitlines()
    assert max(len(line) for line in table if not line.startswith("  ")) <= 100
    assert any("no ICL" in line and "+" in line for line in table)


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


def test_the_forest_plot_shows_every_place_and_marks_what_is_significant(tmp_path):
    from ia2_eval.leaderboard.results.groups import group_records
    from ia2_eval.leaderboard.results.results import read_results
    from ia2_eval.leaderboard.significance.compare import compare
    from ia2_eval.leaderboard.significance.forest_plot import forest_figure
    from ia2_eval.leaderboard.style import column_styles

    records = write(tmp_path, methods=("sft", "ia2_sft"))
    pair = Column("ia2_sft"), Column("sft")
    found = compare(read_results([tmp_path]), group_records(records).groups, [pair]).comparisons
    figure = forest_figure(found, column_styles(pair)[pair[0]])
    accuracy, ece = figure.axes
    labels = [label.get_text() for label in accuracy.get_yticklabels()]
    assert labels == ["SST2  N=4", "SST2 → PoemS  N=4", "AGN  N=4", "own sets  all N"]
    points = [line for line in accuracy.lines if line.get_marker() in ("o", "D")]
    by_row = {int(point.get_ydata()[0]): point for point in points}
    rows = {("sst2", "sst2"): 0, ("sst2", "poems"): 1, ("agn", "agn"): 2, ("", ""): 3}
    for comparison in [each for each in found if each.metric == "acc"]:
        point = by_row[rows[comparison.source, comparison.eval]]
        assert point.get_xdata()[0] == pytest.approx(100 * comparison.difference)
        assert (point.get_markerfacecolor() != "white") == (comparison.primary_p_holm < 0.05)
        low, high = accuracy.get_xlim()
        assert low < 100 * comparison.difference < high
    assert "left of 0" in ece.get_xlabel() and "right of 0" in accuracy.get_xlabel()


def test_which_pairs_are_compared():
    icl, sft, weight, ia2 = Column("icl"), Column("sft"), Column("sft", "w"), Column("ia2")
    assert choose_pairs([icl, sft, ia2], [], []) == [(sft, icl), (ia2, icl), (ia2, sft)]
    assert choose_pairs([icl, sft, ia2], ["ia2"], []) == [(ia2, icl), (ia2, sft)]
    assert choose_pairs([icl, sft, ia2], [], ["sft"]) == [(icl, sft), (ia2, sft)]
    assert choose_pairs([icl, sft, weight, ia2], ["sft"], ["icl"]) == [(sft, icl), (weight, icl)]
    assert choose_pairs([icl, ia2], ["icl", "ia2"], ["icl", "ia2"]) == [(icl, ia2)]
    many = [icl, sft, weight, ia2, *(Column(f"other{i}") for i in range(3))]
    assert choose_pairs(many, [], []) == [(column, sft) for column in many if column != sft]


def test_wrong_input(tmp_path):
    write(tmp_path, methods=("icl", "ia2_sft"), sources=("agn",), seeds=1)
    with pytest.raises(UserError, match=r"'ia2_sftt'. Did you mean 'ia2_sft'"):
        run(tmp_path, ["ia2_sftt"])
    with pytest.raises(UserError, match="needs two columns, there is icl"):
        run(tmp_path, ["icl"], ["icl"])
    with pytest.raises(UserError, match="give --out"):
        run([tmp_path, tmp_path])
    with pytest.raises(UserError, match="nothing"):
        run(tmp_path / "nothing")
    cells = [make_record(name, {"agn": {"acc": 1}}, source="agn") for name in ("icl", "sft")]
    planned = write_plan(tmp_path / "planned", cells)
    with pytest.raises(UserError, match=r"nothing to compare.*no finished seed in common"):
        run(planned)
    assert not (planned / "comparisons").exists()


def test_several_directories_and_the_command_line(tmp_path):
    write(tmp_path / "a", methods=("icl",), sources=("agn",), seeds=2)
    write(tmp_path / "b", methods=("ia2_sft",), sources=("agn",), seeds=2)
    arguments = ["leaderboard", "compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(app, [*arguments, "--method", "ia2_sft", "--against", "icl"])
    assert found.exit_code == 0, found.output
    assert "1 of 1 comparisons have two seeds" in found.output
    (line,) = {
        (line["method"], line["against"], line["seeds"])
        for line in csv.DictReader((tmp_path / "out" / "comparisons.csv").open())
    }
    assert line == ("ia2_sft", "icl", "2")


def test_infinite_needs_are_told(tmp_path):
    """Equal methods: no number of seeds finds a difference of 0."""
    for method in ("icl", "sft"):
        for seed, right in enumerate((30, 31, 29)):
            right += (seed == 0) - (seed == 1) if method == "icl" else 0
            record = make_record(method, {"agn": {"acc": 0.5, "ece": 0.1}}, source="agn", seed=seed, examples=60)
            write_run(tmp_path, [record], [sample(0.5, i < right) for i in range(60)])
    _, text, lines = run(tmp_path)
    assert float(only(lines, metric="acc", test="t")["needed"]) == inf
    assert "never" in text


def test_nothing_of_it_imports_torch():
    code = "import ia2_eval.leaderboard.significance.command as c, ia2_eval.leaderboard.significance.best, sys\n"
    code += "print({'torch', 'scipy', 'statsmodels', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_column_is_documented():
    from ia2_eval.leaderboard.significance.tidy import COLUMNS

    document = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in document] == []
