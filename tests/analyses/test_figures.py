from __future__ import annotations

import pytest

from ia2_eval.analyses.overlap import PairOverlap
from ia2_eval.analyses.overlap_plot import overlap_figure
from ia2_eval.analyses.performance_plot import performance_figure
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


def test_boxes_hold_the_overlaps_and_a_line_the_chance_level() -> None:
    pairs = [
        PairOverlap(
            base="tiny",
            adapter="lora",
            protocol="strict",
            source="sst2",
            N=4,
            seed=seed,
            method_a="sft",
            variant_a="",
            method_b=other,
            variant_b="",
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
        for other, values in (("ia2", (0.1, 0.2, 0.6)), ("ia2_sft", (0.3, 0.3, 0.4)))
        for seed, overlap in enumerate(values)
    ]
    (panel,) = overlap_figure(pairs, "title").axes
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["SFT\nand IA2", "SFT\nand IA2 → SFT"]
    medians = [line.get_ydata()[0] for line in panel.lines if line.get_color() == "#D55E00"]
    assert medians == pytest.approx([0.2, 0.3])
    assert panel.lines[-1].get_ydata()[0] == 0.0625
    assert "chance level 0.062" in panel.get_legend().get_texts()[0].get_text()
