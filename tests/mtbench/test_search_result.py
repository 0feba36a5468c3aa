"""Gains, selection bias and the figure."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from ia2_eval.mtbench.prompts.prompt_set import Turn
from ia2_eval.mtbench.search.plot import search_figure
from ia2_eval.mtbench.search.result import Gain, Ranked, RoundResult, SearchResult, bias, gain, statement

NAN = np.nan


def a_gain(value: float, error: float = 0.1, items: int = 10) -> Gain:
    return Gain(value=value, lower=value - 2 * error, upper=value + 2 * error, standard_error=error, items=items)


def a_round(number: int, dev: float, held_out: float, error: float = 0.1) -> RoundResult:
    candidates = tuple(
        Ranked(rank=i + 1, candidate=i, items=10 - i, score=dev - i, gain=a_gain(dev - i / 2), turns=(Turn(query="q"),))
        for i in range(4)
    )
    dev_gain, held_out_gain = a_gain(dev, error), a_gain(held_out, error)
    return RoundResult(
        round=number,
        rows=tuple(range(number)),
        prompt_set=f"prompt_sets/round_{number}.yaml",
        prompt_sha256="",
        dev_score=dev,
        dev_gain=dev_gain,
        held_out_score=held_out,
        held_out_gain=held_out_gain,
        bias=bias(dev_gain, held_out_gain),
        scored_pairs=24,
        exhaustive_pairs=40,
        candidates=candidates,
    )


def test_a_gain_is_paired_by_item() -> None:
    difficulty = np.array([0.0, 100, 200, 300, NAN, 5])
    found = gain(difficulty + np.array([1, 2, 3, 2, 7, NAN]), difficulty)
    assert found is not None and found.items == 4 and found.value == pytest.approx(2)
    assert found.lower is not None and found.upper is not None and 1 <= found.lower < 2 < found.upper <= 3
    assert str(found).startswith("+2.000 [+1.")


def test_a_gain_needs_items() -> None:
    assert gain(np.array([NAN, 1]), np.array([1, NAN])) is None
    one = gain(np.array([3.0]), np.array([1.0]))
    assert one is not None and str(one) == "+2.000" and one.interval == ""
    assert bias(one, None) is None
    unsure = bias(one, a_gain(0.5))
    assert unsure is not None and (unsure.value, unsure.lower) == (1.5, None)


def test_the_bias_by_hand() -> None:
    found = bias(a_gain(0.9, 0.3), a_gain(0.2, 0.4))
    assert found is not None
    assert found.value == pytest.approx(0.7)
    assert found.standard_error == pytest.approx(0.5)
    of_nine_degrees_of_freedom = 2.262
    assert found.lower == pytest.approx(0.7 - of_nine_degrees_of_freedom * sqrt(0.3**2 + 0.4**2), abs=1e-3)
    assert found.upper == pytest.approx(0.7 + of_nine_degrees_of_freedom * 0.5, abs=1e-3)


def test_two_items_are_certain_of_nothing() -> None:
    found = bias(a_gain(1.5, 0.7, items=3), a_gain(-0.25, 0.2, items=2))
    assert found is not None and found.lower is not None and found.lower < -5


def test_the_statement_says_which_gain_to_report() -> None:
    certain = statement(a_round(2, dev=1.0, held_out=0.2, error=0.1), "points")
    assert "the winner (round 2) gains +1.000 [+0.800, +1.200] points on the dev set" in certain
    assert "+0.200 [+0.000, +0.400] on the held-out set" in certain
    assert "The difference is +0.800 [+0.480, +1.120], which is selection bias" in certain
    assert "Report the held-out gain." in certain
    assert "no selection bias can be told for certain" in statement(
        a_round(2, dev=1.0, held_out=0.9, error=0.1), "points"
    )
    nothing = a_round(1, 1, 1).model_copy(update={"held_out_gain": None, "bias": None})
    assert statement(nothing, "points").startswith("Too few items have a score")


def test_the_figure_shows_every_round_and_both_sets() -> None:
    rounds = (a_round(1, 1.0, 0.5), a_round(2, 1.5, 0.7))
    result = SearchResult(
        name="small",
        unit="points",
        start="urial",
        start_sha256="",
        dev_items=10,
        held_out_items=12,
        start_dev_score=0,
        start_held_out_score=0,
        rounds=rounds,
        best_round=2,
        left_out=(),
        unscored=0,
        statement="",
    )
    figure = search_figure(result)
    panels = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_title() for panel in panels] == [
        "round 1: 24 of 40 scores",
        "round 2: 24 of 40 scores",
        "what is left on the held-out set",
    ]
    for panel, found in zip(panels, rounds, strict=False):
        heights = sorted(container.lines[0].get_ydata()[0] for container in panel.containers)
        assert heights == sorted(each.gain.value for each in found.candidates if each.gain)
    assert [float(container.lines[0].get_ydata()[0]) for container in panels[2].containers] == [1.0, 0.5, 1.5, 0.7]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"starting set", "chosen, on the dev set", "chosen, on the held-out set"} < set(labels)
    assert "candidate that dropped out early" in labels and "chosen in the round before" in labels
