from __future__ import annotations

import numpy as np
import pytest

from ia2_eval.analyses.subspace import Definition, Matrix, chance_level, column_space, overlap

BOTH: tuple[Definition, ...] = ("product", "lora_B")
E6 = np.eye(6)


def space(b: Matrix, a: Matrix | None = None, definition: Definition = "product") -> Matrix:
    found = column_space(b, np.eye(b.shape[1], 5) if a is None else a, definition)
    assert found is not None
    return found


@pytest.mark.parametrize("definition", BOTH)
def test_identical_subspaces_overlap_fully_whatever_their_basis(definition: Definition) -> None:
    random = np.random.default_rng(0)
    b = random.standard_normal((6, 2))
    mixed = b @ np.array([[2.0, -1.0], [0.5, 3.0]])
    assert overlap(space(b, definition=definition), space(mixed, definition=definition)) == pytest.approx(1)


@pytest.mark.parametrize("definition", BOTH)
def test_orthogonal_subspaces_do_not_overlap(definition: Definition) -> None:
    left, right = space(E6[:, :2], definition=definition), space(E6[:, 2:4], definition=definition)
    assert overlap(left, right) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("definition", BOTH)
def test_the_overlap_is_the_mean_squared_cosine_of_the_principal_angles(definition: Definition) -> None:
    """Two planes that share one direction and are 60 degrees apart in the other: (1 + 0.25) / 2."""
    tilted = np.stack([E6[0], 0.5 * E6[1] + np.sqrt(0.75) * E6[4]], axis=1)
    assert overlap(space(E6[:, :2], definition=definition), space(tilted, definition=definition)) == pytest.approx(
        0.625
    )


def test_a_singular_vector_of_rank_deficient_b_counts_as_published_but_not_in_the_product() -> None:
    b = np.stack([E6[0], 2 * E6[0]], axis=1)  # rank 1
    assert space(b).shape == (6, 1)
    assert np.abs(space(b)[:, 0]) == pytest.approx(E6[0])
    assert space(b, definition="lora_B").shape == (6, 2)
    assert overlap(space(b), space(E6[:, :2])) == pytest.approx(1)  # within it


def test_the_product_sees_a_rank_deficient_a() -> None:
    """A maps everything to e1 - e2 of the rank, so that B A writes only to B (e1 - e2)."""
    a = np.outer([1.0, -1.0], [1.0, 2.0, 0.0])
    written = (E6[0] - E6[1]) / np.sqrt(2)
    found = space(E6[:, :2], a)
    assert found.shape == (6, 1) and abs(float(found[:, 0] @ written)) == pytest.approx(1)
    assert space(E6[:, :2], a, "lora_B").shape == (6, 2)
    assert overlap(found, space(E6[:, :1])) == pytest.approx(0.5)


def test_the_product_has_the_singular_vectors_of_the_full_matrix() -> None:
    random = np.random.default_rng(1)
    b, a = random.standard_normal((30, 4)), random.standard_normal((4, 20))
    vectors, _, _ = np.linalg.svd(b @ a)
    assert np.abs(np.diag(space(b, a).T @ vectors[:, :4])) == pytest.approx(np.ones(4))


def test_float32_noise_adds_no_dimension() -> None:
    random = np.random.default_rng(2)
    b = np.outer(random.standard_normal(40), random.standard_normal(3)).astype(np.float32).astype(np.float64)
    assert space(b, random.standard_normal((3, 25))).shape == (40, 1)


@pytest.mark.parametrize("definition", BOTH)
def test_an_update_of_zero_has_no_subspace(definition: Definition) -> None:
    assert column_space(np.zeros((6, 2)), np.ones((2, 5)), definition) is None
    assert column_space(E6[:, :2], np.zeros((2, 5)), definition) is None


def test_a_product_of_zero_has_no_subspace_even_where_its_factors_are_not() -> None:
    assert column_space(E6[:, :2] @ np.diag([1.0, 0.0]), np.outer([0.0, 1.0], np.ones(5)), "product") is None


@pytest.mark.parametrize(("k1", "k2"), [(3, 3), (2, 5)])
def test_random_subspaces_overlap_by_the_chance_level(k1: int, k2: int) -> None:
    random = np.random.default_rng(3)
    pairs = [(space(random.standard_normal((24, k1))), space(random.standard_normal((24, k2)))) for _ in range(400)]
    simulated = np.mean([overlap(*pair) for pair in pairs])
    assert chance_level(*pairs[0]) == max(k1, k2) / 24
    assert simulated == pytest.approx(chance_level(*pairs[0]), rel=0.04)
