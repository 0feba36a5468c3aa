"""Comparisons as they are seen: lines of the terminal, numbers, forest plots."""

from __future__ import annotations

from math import inf

import pytest
from comparison_run import run, write

from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.significance.compare import compare
from ia2_eval.leaderboard.significance.comparison import Comparison
from ia2_eval.leaderboard.significance.evidence import Evidence
from ia2_eval.leaderboard.significance.forest_plot import forest_figure
from ia2_eval.leaderboard.significance.numerals import in_units, interval_ends, more_units, p_text
from ia2_eval.leaderboard.significance.tables import comparison_tables
from ia2_eval.leaderboard.style import Column, column_styles
from ia2_eval.leaderboard.tables.table import Section


def test_the_table_fits(tmp_path):
    write(tmp_path, methods=("no_icl", "ia2_sft"), sizes=(4, 128))
    for width in (80, 110):
        _, text, lines = run(tmp_path, width=width)
        tables, _, captions = text.partition("difference: ")
        assert max(map(len, tables.splitlines())) <= 80
        shown = [line for line in tables.splitlines() if {"acc", "ECE"} & set(line.split())]
        assert len(shown) == sum(line["primary"] == "True" for line in lines)  # one line for each, in one piece
        assert tables.count("IA2 → SFT minus no ICL") == tables.count("─\n") == 2
        assert "p (Holm)" in captions and "d_z" not in tables
        assert "effect sizes and detectable differences are in comparisons.md" in " ".join(captions.split())


def test_each_line_of_the_terminal_says_what_the_csv_says(tmp_path):
    write(tmp_path, sources=("sst2",), seeds=8)
    _, text, lines = run(tmp_path, ["ia2_sft"], ["sft"], width=80)
    (shown,) = [line for line in text.splitlines() if line.startswith("4  SST2  ")]
    crossed = next(line for line in lines if (line["eval"], line["test"], line["metric"]) == ("sst2", "crossed", "acc"))
    difference, low, high = (100 * float(crossed[name]) for name in ("difference", "ci_low", "ci_high"))
    more = max(0, int(crossed["needed"]) - 8)
    p, p_holm = (p_text(float(crossed[name])) for name in ("p", "p_holm"))
    expected = f"4 SST2 8 acc {difference:+.1f} [{low:+.1f}, {high:+.1f}] {p} {p_holm} +{more}"
    assert shown.split() == expected.split()
    assert any(line.startswith("4  SST2 → PoemS*") for line in text.splitlines())


def comparison(metric, difference, low, high, seeds=5, needed=None, unit="seeds"):
    found = Evidence("crossed", 0.07, low, high, unit, seeds, needed)
    return Comparison(
        section=Section("tiny", "strict", ""),
        scope="place",
        n=4,
        source="agn",
        eval="agn",
        sets="own",
        method=Column("sft"),
        against=Column("icl"),
        metric=metric,
        recorded_as=metric,
        value=0.5,
        against_value=0.5 - difference,
        difference=difference,
        seeds=seeds,
        unmatched=0,
        examples=100,
        tests=(found,),
        p_holm=(0.07,),
    )


def test_numbers_say_no_more_and_no_less_than_they_mean():
    def texts(*of):
        found = comparison(*of)
        return in_units(found, found.difference), *interval_ends(found)

    assert texts("ECE", -0.0002, -0.06, 0.05) == ("0.000", "-0.060", "+0.050")  # no -0.000
    assert texts("ECE", 3.1e-4, -2e-5, 6.4e-4) == ("+3e-04", "-2e-05", "+6e-04")  # not 0.000 with a p of 0.07
    assert texts("ECE", 0.0012, -0.0003, 0.002) == ("+0.001", "0.000", "+0.002")
    assert texts("acc", -0.0004, -0.001, 0.0002) == ("-4e-02", "-1e-01", "+2e-02")
    assert texts("acc", 0.0, -0.01, 0.01) == ("0.0", "-1.0", "+1.0")
    assert texts("ECE", 1e-17, 0.0, 0.0) == ("0.000", "0.000", "0.000")
    needs = [(6, "+1"), (5, "+0"), (1005, "+1000"), (29203, "> 1000"), (inf, "never"), (None, "–")]
    for needed, text in needs:
        assert more_units(comparison("acc", 0.1, 0.0, 0.2, needed=needed)) == text
    assert more_units(comparison("acc", 0.1, 0.0, 0.2, needed=29205, unit="examples")) == "+29200"


def test_one_more_seed_is_no_plural():
    found = [comparison("acc", 0.1, 0.0, 0.2, needed=needed) for needed in (6, 7, 2000)]
    for each, text in zip(found, ("+1 seed", "+2 seeds", "> 1000 seeds"), strict=True):
        table = comparison_tables([each])[1]
        assert table.rows[0][len(table.keys) + table.columns.index("for 80 % power")][0] == text


def test_a_bar_that_is_cut_ends_in_an_arrow_head():
    from matplotlib.markers import CARETLEFT, CARETRIGHT

    style = column_styles([Column("sft")])[Column("sft")]
    for low, high, heads in ((-0.4, 1.6, [CARETRIGHT]), (-1.5, 1.6, [CARETLEFT, CARETRIGHT]), (-0.4, 0.9, [])):
        figure = forest_figure([comparison("acc", 0.3, low, high)], style)
        (panel,) = figure.axes
        drawn = [line for line in panel.lines if line.get_marker() in (CARETLEFT, CARETRIGHT)]
        assert [line.get_marker() for line in drawn] == heads
        assert all(line.get_xdata()[0] in panel.get_xlim() for line in drawn)
        words = " ".join(text.get_text() for text in figure.texts)
        assert ("arrows" in words) == bool(heads) and "SFT minus ICL" in words


def test_the_forest_plot_shows_every_place_and_marks_what_is_significant(tmp_path):

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
        p = comparison.primary_p_holm  # None over two datasets
        assert (point.get_markerfacecolor() != "white") == (p is not None and p < 0.05)
        low, high = accuracy.get_xlim()
        assert low < 100 * comparison.difference < high
    assert "left of 0" in ece.get_xlabel() and "right of 0" in accuracy.get_xlabel()
