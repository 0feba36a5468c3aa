from __future__ import annotations

from math import isnan

import pytest
import torch

from ia2_eval.analyses.cosine import average, cosine_grid


def test_the_cosine_is_taken_over_the_width_in_float32() -> None:
    student = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]], dtype=torch.bfloat16)  # [1, 2, 2]
    teacher = torch.tensor([[[4.0, 3.0], [-2.0, 0.0]]], dtype=torch.bfloat16)
    found = cosine_grid(student, teacher)
    assert found.dtype == torch.float32
    assert found.tolist() == [[pytest.approx(24 / 25), pytest.approx(-1)]]


def test_an_example_counts_once_however_long_its_response_is() -> None:
    """Two layers; one response of one token, one of three."""
    short = torch.tensor([[1.0], [0.0]])
    long = torch.tensor([[0.0, 0.3, 0.6], [0.5, 0.5, 0.5]])
    found = average([short, long])
    assert found.by_layer == pytest.approx(((1.0 + 0.3) / 2, (0.0 + 0.5) / 2))
    assert found.overall == pytest.approx((0.5 + 0.4) / 2)
    assert found.by_layer_and_token[0] == pytest.approx((0.5, 0.3, 0.6))
    assert found.by_layer_and_token[1] == pytest.approx((0.25, 0.5, 0.5))
    assert found.examples_at == (2, 1, 1)


def test_what_is_not_a_number_stays_so_and_counts_as_a_position() -> None:
    short = torch.tensor([[torch.nan], [0.0]])
    found = average([short, torch.tensor([[0.0, 0.3], [0.5, 0.5]])])
    assert found.examples_at == (2, 1)
    assert isnan(found.overall) and isnan(found.by_layer_and_token[0][0])
    assert (found.by_layer_and_token[0][1], *found.by_layer_and_token[1]) == pytest.approx((0.3, 0.25, 0.5))
