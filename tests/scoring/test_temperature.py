"""Temperature scaling, against a closed form, a grid and predictions that are known to be off."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ia2_eval.scoring.predictions import predict
from ia2_eval.scoring.temperature import BOUNDS, fit_temperature


def mean_nll(log_likelihoods: list[list[float]], gold: list[int], temperature: float) -> float:
    return float(np.mean([predict(row, g, temperature).nll for row, g in zip(log_likelihoods, gold, strict=True)]))


def test_closed_form_of_two_labels() -> None:
    # Always a margin of 2 nats, right three times of four: sigmoid(2 / T) = 3/4, so T = 2 / ln 3.
    rows = [[0.0, -2.0], [0.0, -2.0], [-7.0, -5.0], [0.0, -2.0]]
    assert fit_temperature(rows, [0, 0, 1, 1]) == pytest.approx(2 / math.log(3), rel=1e-6)


def test_equals_a_grid() -> None:
    rng = np.random.default_rng(0)
    grid = np.exp(np.linspace(math.log(BOUNDS[0]), math.log(BOUNDS[1]), 401))
    for scale in (0.3, 1.0, 5.0):
        rows = rng.normal(size=(20, 4)) * 2
        gold = [int(rng.choice(4, p=np.exp(row) / np.exp(row).sum())) for row in rows]
        scaled = (rows * scale).tolist()
        best = grid[np.argmin([mean_nll(scaled, gold, t) for t in grid])]
        assert fit_temperature(scaled, gold) == pytest.approx(best, rel=0.03)


def test_finds_by_how_much_a_model_is_too_sure() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(20_000, 3)) * 2
    gold = [int(rng.choice(3, p=np.exp(row) / np.exp(row).sum())) for row in rows]
    assert fit_temperature(rows * 3, gold) == pytest.approx(3, rel=0.05)


def test_a_separable_dev_set_gives_the_lower_bound_and_a_reversed_one_the_upper() -> None:
    assert fit_temperature([[0.0, -1.0], [-3.0, 0.0]], [0, 1]) == BOUNDS[0]
    assert fit_temperature([[0.0, -1.0], [-3.0, 0.0]], [1, 0]) == BOUNDS[1]


def test_where_no_temperature_helps_it_is_one() -> None:
    assert fit_temperature([[-1.0, -1.0], [-2.0, -2.0]], [0, 1]) == 1.0
    assert fit_temperature([[0.0, -math.inf], [0.0, -1.0]], [1, 0]) == 1.0, "an impossible gold label"


def test_an_impossible_other_label_does_no_harm() -> None:
    rows = [[0.0, -2.0, -math.inf], [0.0, -2.0, -math.inf], [0.0, -2.0, -math.inf], [0.0, -2.0, -math.inf]]
    assert fit_temperature(rows, [0, 0, 0, 1]) == pytest.approx(2 / math.log(3), rel=1e-6)


@pytest.mark.parametrize(
    ("rows", "gold", "message"),
    [
        ([], [], "shapes"),
        ([[0.0, -1.0]], [0, 1], r"\(1, 2\), \(2,\)"),
        ([[0.0, -1.0]], [2], "below 2"),
        ([[0.0, -1.0]], [-1], "below 2"),
    ],
)
def test_faulty_input_is_named(rows: list[list[float]], gold: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_temperature(rows, gold)
