from __future__ import annotations

from math import log2

import pytest
from synthetic_run import make_record

from ia2_eval.leaderboard.figures.accuracy_plot import accuracy_figure
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.style import Column, column_styles


def panels_of(records):
    rows = [row for row in aggregate(group_records(records).groups) if row.selection != "oracle"]
    return [panel for panel in figure_of(rows).axes if panel.axison]


def figure_of(rows):
    return accuracy_figure(rows, column_styles(row.column for row in rows), "title")


def accuracy_records(method, by_size):
    return [
        make_record(method, {"sst2": {"acc": accuracy}}, n=n, seed=seed)
        for n, accuracies in by_size.items()
        for seed, accuracy in enumerate(accuracies)
    ]


def test_points_are_means_with_their_intervals():
    records = accuracy_records("icl", {4: [0.6, 0.7, 0.8], 8: [0.8, 0.8, 0.8]})
    (panel,) = panels_of(records)
    (points, _, (bars,)) = panel.containers[0]
    assert points.get_xdata() == pytest.approx([log2(4), log2(8)])
    assert points.get_ydata() == pytest.approx([70, 80])
    assert bars.get_segments()[0][:, 1] == pytest.approx([70 - 24.8414, 70 + 24.8414], abs=1e-3)
    assert [label.get_text() for label in panel.get_xticklabels()] == ["4", "8"]


def test_intervals_are_cut_to_what_an_accuracy_can_be():
    # Student's interval over 0.9 and 1.0 is 0.95 ± 12.7062 * 0.05; no ICL's is given.
    records = accuracy_records("icl", {4: [0.9, 1.0]})
    records.append(make_record("no_icl", {"sst2": {"acc": 0.05}}, intervals={"acc": (-0.1, 0.2)}))
    (panel,) = panels_of(records)
    (_, _, (bars,)) = panel.containers[0]
    assert bars.get_segments()[0][:, 1] == pytest.approx([95 - 63.531, 100], abs=1e-3)
    (band,) = panel.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((0, 20))


@pytest.mark.parametrize(
    ("accuracies", "limits"),
    [([0.0], (-0.25, 5.25)), ([1.0], (94.75, 100.25)), ([0.5], (47.25, 52.75)), ([0.0, 1.0], (-3, 103))],
)
def test_the_axis_has_a_least_range_and_beyond_0_and_100_only_padding(accuracies, limits):
    records = accuracy_records("icl", {4 * (1 + i): [accuracy] for i, accuracy in enumerate(accuracies)})
    (panel,) = panels_of(records)
    assert panel.get_ylim() == pytest.approx(limits)


def test_many_methods_stay_nearer_to_their_n_than_to_the_next():
    records = [record for i in range(12) for record in accuracy_records(f"m{i}", {4: [0.7, 0.7], 8: [0.7, 0.7]})]
    (panel,) = panels_of(records)
    positions = [points.get_xdata()[0] for points, *_ in panel.containers]
    assert max(positions) - min(positions) < 0.7
    low, high = panel.get_xlim()
    assert all(low < x < high for points, *_ in panel.containers for x in points.get_xdata())


@pytest.mark.parametrize("methods", [("icl", "sft", "ia2", "ia2_sft"), [f"a_rather_long_name_{i}" for i in range(14)]])
def test_the_legend_is_within_the_figure_and_below_the_panels(methods):
    figure = figure_of(aggregate(group_records([make_record(m, {"sst2": {"acc": 0.7}}) for m in methods]).groups))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0
    assert all(box.y1 <= panel.get_tightbbox().y0 for panel in figure.axes)
    assert [text.get_text() for text in legend.get_texts()] == [
        style.title for style in column_styles(map(Column, methods)).values()
    ]


def test_variants_have_lines_of_their_own():
    records = [
        make_record("sft", {"sst2": {"acc": accuracy}}, n=n, options=options)
        for options, accuracy in ((None, 0.5), ({"labels": "icl_outputs"}, 0.75))
        for n in (4, 8)
    ]
    (panel,) = panels_of(records)
    plain, variant = (points for points, *_ in panel.containers)
    assert list(plain.get_ydata()) == [50, 50] and list(variant.get_ydata()) == [75, 75]
    assert plain.get_color() == variant.get_color()
    assert (plain.get_marker(), plain.get_linestyle()) != (variant.get_marker(), variant.get_linestyle())
    assert panel.get_legend_handles_labels()[1] == ["SFT", "SFT (icl_outputs)"]


def test_methods_at_the_same_n_do_not_cover_one_another():
    records = [record for method in ("icl", "sft", "ia2") for record in accuracy_records(method, {4: [0.7, 0.7]})]
    (panel,) = panels_of(records)
    positions = [points.get_xdata()[0] for points, *_ in panel.containers]
    assert positions == pytest.approx([2 - 0.09, 2, 2 + 0.09])


def test_a_size_that_a_method_lacks_leaves_a_gap():
    records = accuracy_records("icl", {n: [0.7] for n in (4, 8, 16)}) + accuracy_records("sft", {4: [0.6], 16: [0.8]})
    (panel,) = panels_of(records)
    assert panel.containers[1][0].get_ydata() == pytest.approx([60, float("nan"), 80], nan_ok=True)


def test_no_icl_is_a_horizontal_line_with_a_band():
    records = [
        make_record("no_icl", {"sst2": {"acc": 0.5}}, intervals={"acc": (0.4, 0.6)}),
        *accuracy_records("icl", {4: [0.7], 8: [0.7]}),
    ]
    (panel,) = panels_of(records)
    line = next(line for line in panel.lines if line.get_label() == "no ICL")
    assert line.get_ydata() == pytest.approx([50, 50])
    (band,) = panel.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((40, 20))


def test_one_panel_per_source():
    records = [make_record("icl", {name: {"acc": 0.5}}, source=name) for name in ("sst2", "agn", "fins", "stf")]
    titles = [panel.get_title() for panel in panels_of(records)]
    assert titles == ["SST2", "FinS", "STF", "AGN"]
