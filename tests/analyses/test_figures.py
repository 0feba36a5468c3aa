from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure

from ia2_eval.analyses.overlap import PairOverlap
from ia2_eval.analyses.overlap_plot import overlap_figure
from ia2_eval.analyses.performance_plot import Metric, performance_figure
from ia2_eval.analyses.similarity_plots import layer_figure, overall_figure, token_figure
from ia2_eval.analyses.similarity_rows import LayerSimilarity, TokenSimilarity
from ia2_eval.leaderboard.style import Column, column_styles
from tests.analyses.test_summaries import measured

SAME = {
    "base": "tiny",
    "adapter": "lora",
    "protocol": "strict",
    "source": "gsm8k",
    "eval": "gsm8k",
    "N": 4,
    "variant": "",
    "learning_rate": 1e-3,
    "key": "k",
    "mode": "teacher_forced",
}
STYLES = column_styles([Column("sft"), Column("ia2")])


def test_a_scatter_has_a_point_for_each_run_with_its_own_accuracy() -> None:
    runs = [measured("sft", seed, 0.1 * seed, accuracy=0.2 * seed) for seed in range(3)]
    runs += [measured("ia2", 0, 0.9, accuracy=None)]
    figure = performance_figure(runs, "accuracy", STYLES, "title")
    (panel,) = figure.axes
    (points,) = panel.collections
    assert points.get_offsets().tolist() == [pytest.approx([0.1 * seed, 20 * seed]) for seed in range(3)]
    assert panel.get_ylabel() == "accuracy (%)"


@pytest.mark.parametrize("metric", ["accuracy", "ece"])
def test_a_scatter_names_the_metric_of_every_panel_where_they_differ(metric: Metric) -> None:
    name, label = {"accuracy": ("acc", "accuracy (%)"), "ece": ("ece", "ECE")}[metric]

    def labels(*of_places: str) -> list[str]:
        changes = [{"N": 2**i, metric: 0.5, f"{metric}_metric": each} for i, each in enumerate(of_places)]
        runs = [measured(method, 0, 0.5, **change) for change in changes for method in ("sft", "ia2")]
        return [panel.get_ylabel() for panel in performance_figure(runs, metric, STYLES, "title").axes]

    assert labels(name, name) == [label, ""]
    assert labels(f"{name}_published", f"{name}_published") == [f"{label}: {name}_published", ""]
    assert labels(f"{name}_published", name) == [f"{label}: {name}_published", label]


def test_bars_are_means_and_every_place_has_a_panel() -> None:
    runs = [measured("sft", 0, 0.2), measured("sft", 1, 0.4), measured("ia2", 0, 0.9), measured("sft", 0, 0.5, N=8)]
    figure = overall_figure(runs, STYLES, "title")
    assert [panel.get_title() for panel in figure.axes] == ["SST2, N=4", "SST2, N=8"]
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([0.3, 0.9])


def test_a_layer_curve_is_the_mean_over_seeds() -> None:
    rows = [
        LayerSimilarity(**SAME, method="sft", seed=seed, layer=layer, n=5, similarity=0.2 * seed + 0.1 * layer)  # type: ignore[arg-type]
        for seed in (0, 1)
        for layer in (0, 1, 2)
    ]
    (panel,) = layer_figure(rows, STYLES, "title").axes
    assert panel.lines[0].get_ydata() == pytest.approx([0.1, 0.2, 0.3])


def test_a_heat_map_leaves_out_seeds_whose_responses_are_shorter() -> None:
    values = {(0, 0): [0.2, 0.4], (1, 0): [0.6, 0.8], (1, 1): [0.1, 0.3]}  # seed and token: of both layers
    rows = [
        TokenSimilarity(**SAME, method="sft", seed=seed, layer=layer, token=token, n=5, similarity=value)  # type: ignore[arg-type]
        for (seed, token), of_layers in values.items()
        for layer, value in enumerate(of_layers)
    ]
    panel, _colour_bar = token_figure(rows, STYLES, "title").axes
    assert panel.images[0].get_array().tolist() == [pytest.approx([0.4, 0.1]), pytest.approx([0.6, 0.3])]


def compared(a: Column, b: Column, seed: int, overlap: float) -> PairOverlap:
    return PairOverlap(
        base="tiny",
        adapter="lora",
        protocol="strict",
        source="sst2",
        N=4,
        seed=seed,
        method_a=a.method,
        variant_a=a.variant,
        method_b=b.method,
        variant_b=b.variant,
        learning_rate_a=1e-3,
        learning_rate_b=1e-3,
        key_a="a",
        key_b="b",
        evals="sst2",
        definition="product",
        overlap=overlap,
        chance=0.0625,
        matrices=12,
    )


def test_boxes_hold_the_overlaps_and_a_line_the_chance_level() -> None:
    pairs = [
        compared(Column("sft"), Column(other), seed, overlap)
        for other, values in (("ia2", (0.1, 0.2, 0.6)), ("ia2_sft", (0.3, 0.3, 0.4)))
        for seed, overlap in enumerate(values)
    ]
    (panel,) = overlap_figure(pairs, "title").axes
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["SFT\nand IA2", "SFT\nand IA2 → SFT"]
    medians = [line.get_ydata()[0] for line in panel.lines if line.get_color() == "#D55E00"]
    assert medians == pytest.approx([0.2, 0.3])
    assert panel.lines[-1].get_ydata()[0] == 0.0625
    assert "chance level 0.062" in panel.get_legend().get_texts()[0].get_text()


def test_many_pairs_make_a_matrix_of_mean_overlaps() -> None:
    """Five methods, ten pairs: each once, below the diagonal."""
    methods = [Column("sft"), Column("ia2"), Column("ia2_sft"), Column("soft_sft"), Column("soft_sft", "top 3")]
    pairs = [
        compared(a, b, seed, 0.1 * i + 0.02 * j + 0.04 * seed)
        for (i, a), (j, b) in combinations(enumerate(methods), 2)
        for seed in (0, 1)
    ]
    figure = overlap_figure(pairs, "title")
    panel, bar = figure.axes
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["SFT", "IA2", "IA2 → SFT", "soft SFT"]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["IA2", "IA2 → SFT", "soft SFT", "soft SFT (top 3)"]
    expected = {(i, j - 1): 0.1 * i + 0.02 * j + 0.02 for i, j in combinations(range(5), 2)}
    assert {text.get_position(): text.get_text() for text in panel.texts} == {
        place: f"{value:.2f}" for place, value in expected.items()
    }
    assert {
        (x, y): value for (y, x), value in np.ndenumerate(panel.images[0].get_array()) if np.isfinite(value)
    } == pytest.approx(expected)
    assert "chance level 0.062" in bar.get_ylabel()
    assert max(figure.get_size_inches()) < 8


MANY = [Column("soft_sft", f"a variant of a rather long name {number}") for number in range(11)]


def test_many_methods_have_lying_bars_and_intervals_are_cut_where_no_similarity_can_be() -> None:
    """Two seeds: t(0.975, 1) is 12.7."""
    runs = [measured(c.method, s, 0.5 + 0.3 * s, variant=c.variant) for c in MANY for s in (0, 1)]
    figure = overall_figure(runs, column_styles(MANY), "title")
    (panel,) = figure.axes
    assert [bar.get_width() for bar in panel.patches] == pytest.approx([0.65] * 11)
    assert panel.get_yticklabels()[0].get_text().replace("\n", " ").endswith("name 0)")
    (interval,) = panel.containers[1].lines[2][0].get_segments()
    assert interval[:, 0].tolist() == pytest.approx([-1, 1])
    assert panel.get_xlim()[0] < -1 and panel.get_xlim()[1] > 1
    assert figure.get_suptitle() == "title, drawn up to -1 and 1"
    assert_apart(figure)


def test_a_long_legend_covers_nothing() -> None:
    runs = [measured(c.method, 0, 0.5, variant=c.variant, N=n) for c in MANY for n in (4, 8)]
    figure = performance_figure(runs, "accuracy", column_styles(MANY), "title\nof two lines")
    assert_apart(figure)
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 <= min(panel.get_tightbbox().y0 for panel in figure.axes)
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def assert_apart(figure: Figure) -> None:
    """Panels with their labels lie within the figure, beneath the title, and are large enough to read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that was not applied
        figure.draw_without_rendering()
    title = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    for panel in figure.axes:
        box = panel.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= title.y0
        assert panel.get_window_extent().height > 1.2 * figure.dpi
