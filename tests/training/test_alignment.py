from __future__ import annotations

import math

import pytest
import torch
from ia2_training import Alignment, Distance, distance_per_example
from torch import Tensor

DISTANCES: list[Distance] = ["mse", "normalised_mse", "cosine"]


def slow_distance(student: list[float], teacher: list[float], distance: Distance) -> float:
    """Distance of two activations of one position."""
    width = len(student)
    if distance == "cosine":
        dot = sum(s * t for s, t in zip(student, teacher, strict=True))
        return 1 - dot / math.sqrt(sum(s * s for s in student) * sum(t * t for t in teacher))
    square = sum((s - t) ** 2 for s, t in zip(student, teacher, strict=True)) / width
    return square / (sum(t * t for t in teacher) / width) if distance == "normalised_mse" else square


@pytest.fixture
def ragged() -> tuple[Tensor, Tensor, Tensor]:
    """Student and teacher [3, 2, 4, 5] and a mask of 4, 1 and 2 positions; the teacher is zero before they begin."""
    draws = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 2, 4, 5, generator=draws, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]], dtype=torch.bool)
    return student.requires_grad_(), teacher.masked_fill(~mask[:, None, :, None], 0), mask


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_means_over_positions_and_sums_over_layers(
    ragged: tuple[Tensor, Tensor, Tensor], distance: Distance
) -> None:
    student, teacher, mask = ragged
    computed = distance_per_example(student, teacher, mask, distance=distance)
    assert computed.dtype == torch.float64
    for row, (s, t, real) in enumerate(zip(student.tolist(), teacher.tolist(), mask.tolist(), strict=True)):
        positions = [position for position in range(4) if real[position]]
        expected = sum(
            sum(slow_distance(s[layer][p], t[layer][p], distance) for p in positions) / len(positions)
            for layer in range(2)
        )
        assert computed[row].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
def test_padding_has_no_gradient(ragged: tuple[Tensor, Tensor, Tensor], distance: Distance) -> None:
    student, teacher, mask = ragged
    loss = distance_per_example(student, teacher, mask, distance=distance).sum()
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()
    assert torch.equal(gradient.abs().sum(-1) > 0, mask[:, None].expand(3, 2, 4))


def test_mse_by_hand() -> None:
    """Two layers, two positions of which the second row has one, width 2."""
    student = torch.zeros(2, 2, 2, 2)
    teacher = torch.tensor([[[[1.0, 0], [0, 1]], [[2, 2], [2, 2]]], [[[9, 9], [1, 1]], [[9, 9], [3, 0]]]])
    mask = torch.tensor([[True, True], [False, True]])
    # First row: 2/4 + 16/4; second row: 2/2 + 9/2.
    assert distance_per_example(student, teacher, mask).tolist() == [4.5, 5.5]


def test_relative_distances_do_not_depend_on_the_scale_of_a_layer(ragged: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, mask = ragged
    scale = torch.tensor([1.0, 1000.0], dtype=torch.float64)[:, None, None]
    for distance in DISTANCES:
        plain = distance_per_example(student, teacher, mask, distance=distance)
        scaled = distance_per_example(student * scale, teacher * scale, mask, distance=distance)
        assert torch.allclose(plain, scaled, rtol=1e-9) == (distance != "mse")


def test_opposite_activations_are_two_apart_by_cosine() -> None:
    teacher = torch.tensor([[[[3.0, 4.0]]]])
    mask = torch.ones(1, 1, dtype=torch.bool)
    for factor, expected in ((-2.0, 2.0), (5.0, 0.0)):
        computed = distance_per_example(factor * teacher, teacher, mask, distance="cosine")
        assert computed.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_teacher_of_zeros_gives_a_number(distance: Distance) -> None:
    zero = torch.zeros(1, 1, 1, 4)
    computed = distance_per_example(zero, zero, torch.ones(1, 1, dtype=torch.bool), distance=distance)
    assert computed.item() == (1.0 if distance == "cosine" else 0.0)


def test_paper_mse_is_quantised_by_the_dtype_of_the_model() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 2, 4, 16).bfloat16()
    mask = torch.ones(3, 4, dtype=torch.bool)
    strict = distance_per_example(student, teacher, mask, float32=True)
    paper = distance_per_example(student, teacher, mask, float32=False)
    assert strict.dtype == torch.float32
    assert paper.dtype == torch.bfloat16
    published = torch.stack([((s - t) ** 2).mean() * 2 for s, t in zip(student, teacher, strict=True)])
    torch.testing.assert_close(paper, published, atol=0, rtol=2**-8)
    assert not torch.equal(strict, paper.float())


def test_layers() -> None:
    assert Alignment().layer_indices(3) == (0, 1, 2)
    assert Alignment(layers=(2, 0)).layer_indices(3) == (0, 2)
    assert Alignment(layers=(-1, 0)).layer_indices(3) == (0, 2)
    for layer in (3, -4):
        with pytest.raises(ValueError, match=f"The model has 3 layers, 0 to 2; it has no layer {layer}"):
            Alignment(layers=(0, layer)).layer_indices(3)
    with pytest.raises(ValueError, match=r"\[0, -3\] name a layer of the model's 3 twice"):
        Alignment(layers=(0, -3)).layer_indices(3)


def test_all_faults_at_once() -> None:
    with pytest.raises(ValueError, match=r"output = 'head'.*'attention'.*distance = 'l1'.*'cosine'.*layers = \(\)"):
        Alignment(output="head", distance="l1", layers=())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none twice"):
        Alignment(layers=(1, 1))
