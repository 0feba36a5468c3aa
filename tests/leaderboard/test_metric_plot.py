from __future__ import annotations

from math import log2

import pytest
from synthetic_run import make_record

from ia2_eval.leaderboard.figures.grid import legend_columns
from ia2_eval.leaderboard.figures.metric_plot import ACCURACY, CALIBRATION, limits, metric_figure
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.style import Column, column_styles


def rows_of(records, metric):
    rows = aggregate(group_records(records).groups)
    return [row for row in rows if row.selection != "oracle" and row.metric == metric]


def figure_of(records, axis=ACCURACY):
    rows = rows_of(records, "acc" if axis is ACCURACY else "ece")
    floors = rows_of(records, "ece_noise_floor") if axis is CALIBRATION else []
    without_size = {Column("no_icl")} if any(record.cell.n is None for record in records) else set()
    return metric_figure(rows, column_styles(row.column for row in rows), without_size, axis, "title", floors)


def panels_of(records, axis=ACCURACY):
    return [panel for panel in figure_of(records, axis).axes if panel.axison]


def records_of(method, by_size, metric="acc", **more):
    return [
        make_record(method, {"sst2": {metric: value, **more}}, n=n, seed=seed)
        for n, values in by_size.items()
        for seed, value in enumerate(values)
    ]


def test_points_are_means_with_their_intervals():
    records = records_of("icl", {4: [0.6, 0.7, 0.8], 8: [0.8, 0.8, 0.8]})
    (panel,) = panels_of(records)
    (points, _, (bars,)) = panel.containers[0]
    assert points.get_xdata() == pytest.approx([log2(4), log2(8)])
    assert points.get_ydata() == pytest.approx([70, 80])
    assert bars.get_segments()[0][:, 1] == pytest.approx([70 - 24.8414, 70 + 24.8414], abs=1e-3)
    assert [label.get_text() for label in panel.get_xticklabels()] == ["4", "8"]


def test_from_three_n_on_intervals_are_bands():
    by_size = {4: [0.6, 0.7, 0.8], 8: [0.8, 0.8, 0.8], 16: [0.9, 1.0]}
    (panel,) = panels_of(records_of("icl", by_size) + records_of("sft", by_size))
    assert not panel.containers
    bands = panel.collections
    assert len(bands) == 2
    # 0.7 ± 0.248414, 0.8, and 0.95 ± 0.635 cut at 1, as corners of the band; both methods at N itself.
    corners = {(round(x, 6), round(y, 3)) for x, y in bands[0].get_paths()[0].vertices}
    assert corners == {(2, 45.159), (2, 94.841), (3, 80), (4, 31.469), (4, 100)}
    curve = next(line for line in panel.lines if line.get_marker() == "o")
    assert curve.get_xdata() == pytest.approx([2, 3, 4])
    assert curve.get_ydata() == pytest.approx([70, 80, 95])


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(records_of("icl", {4: [0.7, 0.8], 8: [0.7, 0.8]}), id="two N"),
        pytest.param(
            records_of("icl", {4: [0.7], 8: [0.7], 16: [0.7]}) + records_of("sft", {4: [0.7], 16: [0.7]}), id="a gap"
        ),
        pytest.param([r for i in range(5) for r in records_of(f"m{i}", {2: [0.7], 4: [0.7], 8: [0.7]})], id="many"),
    ],
)
def test_bars_stay_where_bands_would_hide_an_interval(records):
    (panel,) = panels_of(records)
    assert panel.containers and not any("Fill" in type(band).__name__ for band in panel.collections)


def test_intervals_are_cut_to_what_an_accuracy_can_be():
    # Student's interval over 0.9 and 1.0 is 0.95 ± 12.7062 * 0.05; no ICL's is given.
    records = records_of("icl", {4: [0.9, 1.0]})
    records.append(make_record("no_icl", {"sst2": {"acc": 0.05}}, intervals={"acc": (-0.1, 0.2)}))
    (panel,) = panels_of(records)
    (_, _, (bars,)) = panel.containers[0]
    assert bars.get_segments()[0][:, 1] == pytest.approx([95 - 63.531, 100], abs=1e-3)
    (band,) = panel.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((0, 20))


@pytest.mark.parametrize(
    ("low", "high", "axis", "expected"),
    [
        (0, 0, ACCURACY, (-0.25, 5.25)),
        (100, 100, ACCURACY, (94.75, 100.25)),
        (50, 50, ACCURACY, (47.25, 52.75)),
        (0, 100, ACCURACY, (-3, 103)),
        (0.01, 0.02, CALIBRATION, (-0.0025, 0.0525)),
        (0.1, 0.3, CALIBRATION, (0.09, 0.31)),
    ],
)
def test_the_axis_has_a_least_range_and_beyond_what_can_be_only_padding(low, high, axis, expected):
    assert limits(low, high, axis) == pytest.approx(expected)


def test_calibration_errors_have_a_noise_floor_where_it_is_known():
    records = records_of("icl", {4: [0.2], 8: [0.1]}, "ece", ece_noise_floor=0.02)
    records += records_of("sft", {4: [0.3], 8: [0.2]}, "ece", ece_noise_floor=0.04)
    figure = figure_of(records, CALIBRATION)
    floor = next(line for line in figure.axes[0].lines if line.get_linestyle() == ":")
    assert floor.get_ydata() == pytest.approx([0.03, 0.03])  # the mean over the methods
    assert [text.get_text() for text in figure.texts if "noise floor" in text.get_text()]
    assert figure.axes[0].get_ylabel() == "ECE"
    unknown = figure_of(records_of("icl", {4: [0.2], 8: [0.1]}, "ece"), CALIBRATION)
    assert not [line for line in unknown.axes[0].lines if line.get_linestyle() == ":"]
    assert not [text for text in unknown.texts if "noise floor" in text.get_text()]


def test_many_methods_stay_nearer_to_their_n_than_to_the_next():
    records = [record for i in range(12) for record in records_of(f"m{i}", {4: [0.7, 0.7], 8: [0.7, 0.7]})]
    (panel,) = panels_of(records)
    positions = [points.get_xdata()[0] for points, *_ in panel.containers]
    assert max(positions) - min(positions) < 0.7
    low, high = panel.get_xlim()
    assert all(low < x < high for points, *_ in panel.containers for x in points.get_xdata())


@pytest.mark.parametrize("methods", [("icl", "sft", "ia2", "ia2_sft"), [f"a_rather_long_name_{i}" for i in range(14)]])
def test_the_legend_is_within_the_figure_and_below_the_panels(methods):
    figure = figure_of([make_record(method, {"sst2": {"acc": 0.7}}) for method in methods])
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0
    assert all(box.y1 <= panel.get_tightbbox().y0 for panel in figure.axes)
    assert figure.axes[0].get_tightbbox().y1 <= figure._suptitle.get_window_extent().y0
    assert [text.get_text() for text in legend.get_texts()] == [
        style.title for style in column_styles(map(Column, methods)).values()
    ]


def test_a_legend_has_as_many_columns_as_there_is_room_for():
    # A column takes 0.6 inches and 1 / 12.5 for each letter of its longest title.
    assert legend_columns(["a" * 10] * 4, 5.7) == 4  # 4 * 1.4
    assert legend_columns(["a" * 10] * 4, 5.5) == 3
    assert legend_columns(["a" * 50, "a" * 50, "b", "b"], 5.6) == 2  # 4.6 + 0.68: the long ones in one column
    assert legend_columns(["a" * 200, "b"], 5) == 1


def test_variants_have_lines_of_their_own():
    records = [
        make_record("sft", {"sst2": {"acc": accuracy}}, n=n, options=options)
        for options, accuracy in ((None, 0.5), ({"labels": "icl_outputs"}, 0.75))
        for n in (4, 8)
    ]
    figure = figure_of(records)
    plain, variant = (points for points, *_ in figure.axes[0].containers)
    assert list(plain.get_ydata()) == [50, 50] and list(variant.get_ydata()) == [75, 75]
    assert plain.get_color() == variant.get_color()
    assert (plain.get_marker(), plain.get_linestyle()) != (variant.get_marker(), variant.get_linestyle())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SFT", "SFT (icl_outputs)"]


def test_methods_at_the_same_n_do_not_cover_one_another():
    records = [record for method in ("icl", "sft", "ia2") for record in records_of(method, {4: [0.7, 0.7]})]
    (panel,) = panels_of(records)
    positions = [points.get_xdata()[0] for points, *_ in panel.containers]
    assert positions == pytest.approx([2 - 0.09, 2, 2 + 0.09])


def test_a_size_that_a_method_lacks_leaves_a_gap():
    records = records_of("icl", {n: [0.7] for n in (4, 8, 16)}) + records_of("sft", {4: [0.6], 16: [0.8]})
    (panel,) = panels_of(records)
    assert panel.containers[1][0].get_ydata() == pytest.approx([60, float("nan"), 80], nan_ok=True)


def test_no_icl_is_a_horizontal_line_with_a_band():
    records = [
        make_record("no_icl", {"sst2": {"acc": 0.5}}, intervals={"acc": (0.4, 0.6)}),
        *records_of("icl", {4: [0.7], 8: [0.7]}),
    ]
    (panel,) = panels_of(records)
    line = next(line for line in panel.lines if line.get_label() == "no ICL")
    assert line.get_ydata() == pytest.approx([50, 50])
    (band,) = panel.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((40, 20))


def test_any_method_without_n_is_horizontal():
    records = [*records_of("icl", {4: [0.7], 8: [0.7]}), *records_of("sft", {4: [0.6], 8: [0.6]})]
    rows = rows_of(records, "acc")
    figure = metric_figure(rows, column_styles(row.column for row in rows), {Column("sft")}, ACCURACY, "title")
    (panel,) = figure.axes
    assert len(panel.containers) == 1
    assert [list(line.get_ydata()) for line in panel.lines if line.get_linestyle() == "--"] == [[60, 60]]


def test_one_panel_per_source():
    records = [make_record("icl", {name: {"acc": 0.5}}, source=name) for name in ("sst2", "agn", "fins", "stf")]
    titles = [panel.get_title() for panel in panels_of(records)]
    assert titles == ["SST2", "FinS", "STF", "AGN"]
