from __future__ import annotations

from itertools import pairwise

import pytest
from synthetic_run import make_record

from ia2_eval.leaderboard.figures.draw import panel_of
from ia2_eval.leaderboard.figures.methods_plot import methods_figure
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.style import Column, column_styles


def figure_of(records, planned=None, source="sst2", benchmark="sst2"):
    plan = {record.key: record.cell for record in planned or records}
    groups, _ = group_records(records, plan)
    rows = [row for row in aggregate(groups) if row.selection != "oracle"]

    def of(metric):
        return [row for row in rows if row.metric == metric]

    panel = panel_of((source, benchmark), groups, of("acc"), of("ece"), of("ece_noise_floor"))
    return methods_figure([panel], column_styles(group.column for group in groups), "title")


def made(method, sizes, seeds=2, **metrics):
    return [
        make_record(method, {"sst2": metrics or {"acc": 0.5 + 0.1 * seed, "ece": 0.1}}, n=n, seed=seed)
        for n in sizes
        for seed in range(seeds)
    ]


def texts(panel):
    return [text.get_text() for text in panel.texts]


def test_each_method_has_a_line_and_each_n_a_point_with_its_interval():
    figure = figure_of([*made("icl", [4, 8]), *made("sft", [4, 8]), make_record("no_icl", {"sst2": {"acc": 0.4}})])
    accuracy, calibration = figure.axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["no ICL", "ICL", "SFT"]
    assert accuracy.get_ylim() == (2.5, -0.5)  # the first on top
    points = [container[0] for container in accuracy.containers]
    assert [x for line in points for x in line.get_xdata()] == pytest.approx([40, 55, 55, 55, 55])
    assert [y for line in points for y in line.get_ydata()] == pytest.approx([0, 0.825, 1.175, 1.825, 2.175])
    # Student's interval over 0.5 and 0.6 is 0.55 ± 12.7062 * 0.05, cut to what an accuracy can be.
    assert accuracy.containers[1][2][0].get_segments()[0][:, 0] == pytest.approx([0, 100])
    assert accuracy.get_title(loc="left") == "SST2 · N = 4, 8"
    assert (accuracy.get_xlabel(), calibration.get_xlabel()) == ("accuracy (%)", "ECE")
    assert texts(calibration) == ["no ECE"]  # of no ICL: it has finished, but without


def test_chance_and_the_noise_floor_are_dotted():
    figure = figure_of(made("icl", [4], acc=0.6, ece=0.1, ece_noise_floor=0.03))
    dotted = [[line for line in panel.lines if line.get_linestyle() == ":"] for panel in figure.axes]
    assert [[line.get_xdata() for line in of_panel] for of_panel in dotted] == [[[50, 50]], [[0.03, 0.03]]]
    (remark,) = [text.get_text() for text in figure.texts if "dotted" in text.get_text()]
    assert remark == "dotted: guessing among the labels, noise floor of the ECE"


def test_generated_answers_have_no_chance_level():
    records = [make_record("icl", {"gsm8k": {"acc": 0.6}}, source="gsm8k")]
    (panel,) = figure_of(records, source="gsm8k", benchmark="gsm8k").axes  # and no ECE here, so no panel of it
    assert not [line for line in panel.lines if line.get_linestyle() == ":"]


def test_what_is_missing_is_said_and_what_lacks_cells_is_hollow():
    planned = made("icl", [4, 8, 16]) + made("sft", [4])
    finished = {("icl", 4, 0), ("icl", 4, 1), ("icl", 8, 0)}
    there = [record for record in planned if (record.cell.method, record.cell.n, record.cell.seed) in finished]
    figure = figure_of(there, planned)
    accuracy = figure.axes[0]
    assert texts(accuracy) == ["N = 16 missing", "missing"]
    (hollow,) = [line for line in accuracy.lines if line.get_markerfacecolor() == "white"]
    assert list(hollow.get_xdata()) == [50]
    assert hollow.get_ydata() == pytest.approx([0.0])  # the second of three
    assert hollow.get_zorder() > accuracy.containers[0][0].get_zorder()
    assert any("hollow: cells are missing" in text.get_text() for text in figure.texts)


def test_several_missing_sizes_are_one_text():
    planned = made("icl", [2, 4, 8])
    accuracy = figure_of([record for record in planned if record.cell.n == 2], planned).axes[0]
    assert texts(accuracy) == ["N = 4, 8 missing"]


def test_nothing_has_finished():
    planned = [*made("icl", [4]), make_record("no_icl", {"sst2": {}})]
    (panel,) = figure_of([], planned).axes
    assert texts(panel) == ["missing", "missing"]


@pytest.mark.parametrize("count", [1, 14])
def test_names_are_within_the_figure_and_do_not_overlap(count):
    methods = [f"a_rather_long_name_of_a_method_{i}" for i in range(count)]
    figure = figure_of([record for method in methods for record in made(method, [4, 8])])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == count
    assert all(box.x0 >= 0 for box in boxes)
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert figure.axes[0].get_tightbbox().y1 <= figure._suptitle.get_window_extent().y0


def test_variants_are_methods_of_their_own():
    records = [make_record("sft", {"sst2": {"acc": 0.5}}, options={"labels": "icl_outputs"}), *made("sft", [4], 1)]
    names = [label.get_text() for label in figure_of(records).axes[0].get_yticklabels()]
    assert names == ["SFT", "SFT (icl_outputs)"]
    assert Column("sft", "icl_outputs") in column_styles([Column("sft", "icl_outputs")])
