from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from synthetic_run import generation, make_record, sample, write_run

from ia2_eval.leaderboard.build import build
from ia2_eval.leaderboard.figures.reliability_plot import BELOW, COUNTS, SIDE, reliability_figure
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.reliability import Reliability, bars_of, pool
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.style import Column, column_styles
from ia2_eval.scoring.calibration import Bin, reliability_bins

PAPER = {"acc_full_vocab": 0.5, "ece_mass": 0.1}
PUBLISHED = PAPER | {"acc_published": 0.5, "ece_published": 0.1}


def pooled(tmp_path, records, rows, benchmark="sst2"):
    (group,) = group_records(records).groups
    reliability, faults = pool(read_results([write_run(tmp_path, records, rows)]), group, benchmark)
    assert faults == ()
    return reliability


class Panel:
    """The only diagram of a figure and its counts, in units of their axes."""

    def __init__(self, reliability):
        styles = column_styles([Column("icl")])
        figure = reliability_figure({(4, Column("icl")): reliability}, [4], styles, "title", "confidence")
        (self.paper,) = figure.axes
        diagonal = next(line for line in self.paper.lines if line.get_linestyle() == "--")
        self.x, self.y = diagonal.get_xdata()[0], diagonal.get_ydata()[0]
        (self.title,) = [text.get_text() for text in self.paper.texts if text.get_text().startswith("ICL")]

    def boxes(self, label):
        """(left, right, bottom, top) of each."""
        y, height = (self.y - BELOW - COUNTS, COUNTS) if label == "samples" else (self.y, SIDE)
        found = []
        for patch in self.paper.patches:
            if patch.get_label() == label:
                for corners in patch.get_path().to_polygons(closed_only=False):
                    (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0)
                    found.append(
                        ((left - self.x) / SIDE, (right - self.x) / SIDE, (low - y) / height, (high - y) / height)
                    )
        return found

    def points(self):
        return [
            ((x - self.x) / SIDE, (y - self.y) / SIDE)
            for line in self.paper.lines
            if line.get_label() == "narrow"
            for x, y in zip(*line.get_data(), strict=True)
        ]


def test_reliability_pools_the_seeds_of_the_reported_learning_rate(tmp_path):
    rows = [sample(0.95, True), sample(0.95, False), sample(0.55, True), sample(1.0, True)]
    records = [
        make_record(
            "sft", {"sst2": {"acc": 0.75, "ece": 0.2}}, seed=seed, learning_rate=rate, dev_loss=rate, examples=4
        )
        for rate in (1e-3, 3e-3)
        for seed in (0, 1, 2)
    ]
    run = write_run(tmp_path, records, rows)
    for record in records:  # what the other learning rate left is not looked at
        if record.cell.learning_rate == 3e-3:
            (run / record.evaluations[0].samples).unlink()
    reliability, faults = pool(read_results([run]), group_records(records).groups[0], "sst2")
    assert faults == ()
    assert reliability is not None
    assert (reliability.n, reliability.seeds) == (12, 3)
    assert [bin_.count for bin_ in reliability.bins if bin_.count] == [3, 9]
    # one bin of 3 (confidence .55, accuracy 1), one of 9 (confidence (.95 + .95 + 1) / 3, accuracy 2/3)
    assert reliability.ece == pytest.approx(3 / 12 * 0.45 + 9 / 12 * (2.9 / 3 - 2 / 3))

    panel = Panel(reliability)
    assert "n 12 (3 seeds)" in panel.title
    assert [top for *_, top in panel.boxes("samples")] == pytest.approx([3 / 9, 1])
    assert "9" in [text.get_text() for text in panel.paper.texts]  # the number of the highest one
    assert [box[2:] for box in panel.boxes("accuracy")] == [pytest.approx((0, 1)), pytest.approx((0, 2 / 3))]
    gaps = [box[2:] for box in panel.boxes("gap")]  # up, or down, to the mean confidence
    assert gaps == [pytest.approx((0.55, 1)), pytest.approx((2 / 3, 2.9 / 3))]


def test_many_reliability_diagrams_are_wrapped():
    columns = [Column("icl"), *(Column("sft", f"a variant with a rather long name {i}") for i in range(12))]
    bins = tuple(reliability_bins([0.95, 0.55], [True, False]))
    diagrams = {(n, column): Reliability(bins, 0.3, 1, 2) for n in (4, 8) for column in columns}
    figure = reliability_figure(diagrams, [4, 8], column_styles(columns), "title", "confidence")
    figure.draw_without_rendering()
    (paper,) = figure.axes
    titles = [text for text in paper.texts if "ECE" in text.get_text() and "n 2" in text.get_text()]
    methods = [text.get_text().rsplit("\n", 1)[0].replace("\n", " ") for text in titles]
    assert methods == [style.title for style in column_styles(columns).values()] * 2
    of_line = Counter(round(text.get_position()[1], 3) for text in titles)
    assert [of_line[y] for y in sorted(of_line, reverse=True)] == [5, 5, 3, 5, 5, 3]
    names = [text for text in paper.texts if text.get_text().endswith("accuracy")]
    assert [text.get_text() for text in names] == ["N = 4\naccuracy"] * 3 + ["N = 8\naccuracy"] * 3
    boxes = [text.get_window_extent() for text in paper.texts if text.get_text()]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    (low, high), (left, right) = paper.get_ylim(), paper.get_xlim()
    assert (right - left, high - low) == tuple(figure.get_size_inches())  # inches on both axes: diagrams are square


def test_large_counts_have_room_beside_the_name_of_the_axis():
    paper = Panel(Reliability((Bin(0.5, 1.0, 12345, 0.7, 0.8),), 0.1, 5, 12345)).paper
    paper.figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in paper.texts}
    assert not boxes["12345"].overlaps(boxes["samples"])


def test_a_method_that_is_missing_is_named():
    styles = column_styles([Column("icl"), Column("sft")])
    there = Reliability(tuple(reliability_bins([0.95], [True])), 0.05, 1, 1)
    (paper,) = reliability_figure({(4, Column("icl")): there}, [4], styles, "title", "confidence").axes
    assert "SFT\nmissing" in [text.get_text() for text in paper.texts]


def test_paper_shows_the_published_confidence_of_the_most_likely_token(tmp_path):
    rows = [  # the labels alone say the opposite
        sample(0.99, False, (" 0", [0.5] + [0.05] * 9)),
        sample(0.51, True, ("yes", [0.3] + [0.02] * 9)),
    ]
    reliability = pooled(tmp_path, [make_record("icl", {"sst2": PUBLISHED}, protocol="paper", examples=2)], rows)
    found = [bin_ for bin_ in reliability.bins if bin_.count]
    assert [bin_.confidence for bin_ in found] == pytest.approx([0.5 / 0.95, 0.3 / 0.48])
    assert [(bin_.accuracy, bin_.count) for bin_ in found] == [(1, 1), (0, 1)]  # equal mass: each has its own
    assert reliability.ece == pytest.approx((1 - 0.5 / 0.95 + 0.3 / 0.48) / 2)


@pytest.mark.parametrize(("protocol", "ece"), [("paper", (0.1 + 0.92 + 0.05 + 0.96) / 4), ("strict", 0.4325)])
def test_without_published_metrics_the_labels_are_shown_in_the_bins_of_the_protocol(tmp_path, protocol, ece):
    pairs = [(0.9, True), (0.92, False), (0.95, True), (0.96, False)]
    rows = [sample(*pair, ("0", [0.5] + [0.05] * 9)) for pair in pairs]
    metrics = {"acc": 0.5, "ece": 0.4} if protocol == "strict" else PAPER
    reliability = pooled(tmp_path, [make_record("icl", {"sst2": metrics}, protocol=protocol, examples=4)], rows)
    # In equal width, .9 and .92 are in [13/15, 14/15), .95 and .96 in the last bin: (|1 - 1.82| + |1 - 1.91|) / 4.
    assert reliability.ece == pytest.approx(ece)


@pytest.mark.parametrize(
    ("row", "wrong"), [(sample(0.9, True), "next_token"), (sample(0.9, True, ("0", [0.1, 0.5])), "descending")]
)
def test_a_published_metric_without_a_sound_sample_is_a_fault(tmp_path, row, wrong):
    records = [make_record("icl", {"sst2": PUBLISHED}, protocol="paper", examples=1)]
    write_run(tmp_path, records, [row])
    (group,) = group_records(records).groups
    reliability, (fault,) = pool(read_results([tmp_path]), group, "sst2")
    assert reliability is None
    assert fault.startswith(records[0].evaluations[0].samples) and wrong in fault


def test_generated_texts_without_a_known_confidence_are_left_out_and_counted(tmp_path):
    rows = [generation(0.9, True), generation(None, False), generation(0.7, False), generation(None, False)]
    metrics = {"gsm8k": {"acc": 0.25, "unparsed": 0.5, "ece": 0.4}}
    records = [make_record("icl", metrics, source="gsm8k", seed=seed, examples=4) for seed in (0, 1)]
    reliability = pooled(tmp_path, records, rows, "gsm8k")
    assert (reliability.n, reliability.samples, reliability.seeds) == (4, 8, 2)
    assert reliability.ece == pytest.approx((0.1 + 0.7) / 2)
    assert Panel(reliability).title == "ICL\nECE 0.40\nn 4 of 8 (2 seeds)"


def test_without_any_known_confidence_there_is_no_ece_and_no_figure(tmp_path):
    record = make_record("icl", {"gsm8k": {"acc": 0.5, "unparsed": 0}}, source="gsm8k", examples=2)
    reliability = pooled(tmp_path, [record], [generation(None, True), generation(None, False)], "gsm8k")
    assert (reliability.bins, reliability.ece, reliability.samples) == ((), None, 2)
    panel = Panel(reliability)
    assert panel.title == "ICL\nno ECE\nn 0 of 2"
    assert not panel.paper.patches
    assert not [path for path in build(tmp_path).paths if "reliability" in path.name]


@pytest.mark.parametrize(
    ("protocol", "benchmark", "metrics", "label"),
    [
        ("strict", "sst2", {"acc": 0.5, "ece": 0.1} | PUBLISHED, "confidence (label-normalised), 15 equal-width bins"),
        ("paper", "sst2", PAPER, "confidence (label-normalised), 15 equal-mass bins"),
        ("paper", "sst2", PUBLISHED, "sum of the first ten), accuracy of that token, 15 equal-mass bins"),
        ("strict", "gsm8k", {"acc": 0.5}, "of the written answer) where it is known, 15 equal-width bins"),
        ("paper", "gsm8k", {"acc": 0.5}, "of the written answer) where it is known, 15 equal-mass bins"),
    ],
)
def test_the_axis_says_which_confidence_is_shown(tmp_path, protocol, benchmark, metrics, label):
    record = make_record("icl", {benchmark: metrics}, source=benchmark, protocol=protocol, examples=1)
    row = sample(0.9, True, ("0", [0.5] + [0.05] * 9)) if benchmark == "sst2" else generation(0.9, True)
    board = build(write_run(tmp_path, [record], [row]))
    (picture,) = [path for path in board.paths if path.name == f"reliability_{benchmark}_to_{benchmark}.svg"]
    # Each line of text is a comment above its glyphs.
    words = " ".join(line.strip()[5:-4] for line in picture.read_text().splitlines() if "<!-- " in line)
    assert label in words


def test_equal_mass_bins_are_drawn_from_their_least_to_their_greatest_confidence():
    nowhere = float("nan")
    bins = (
        Bin(0.25, 0.5, 10, 0.375, 0.5),
        Bin(0.5, 0.5, 10, 0.5, 1.0),
        Bin(0.5, 0.5, 30, 0.5, 0.5),  # no width: with the one before, for they differ by chance only
        Bin(nowhere, nowhere, 0, None, None),
        Bin(0.625, 1.0, 12, 0.75, 0.25),
    )
    panel = Panel(Reliability(bins, 0.2, 1, 62))
    drawn = [(0.25, 0.5, 0, 0.5), (0.625, 1, 0, 0.25), (0.5, 0.5, 0, 0.625)]  # those with a width first
    assert panel.boxes("accuracy") == [pytest.approx(box) for box in drawn]
    assert [top for *_, top in panel.boxes("samples")] == pytest.approx([10 / 40, 12 / 40, 1])
    assert len(panel.boxes("gap")) == 2
    assert panel.points() == [pytest.approx((0.5, 0.625))]  # a bar too narrow to be seen


def test_bars_are_those_of_the_bins_that_hold_something():
    bins = reliability_bins([0.95, 0.55, 0.56], [True, False, True])
    assert [bar.samples for bar in bars_of(bins)] == [2, 1]
    assert [bar.accuracy for bar in bars_of(bins)] == [0.5, 1]
    assert [bar.confidence for bar in bars_of(bins)] == pytest.approx([0.555, 0.95])
