"""The subspace that a low-rank adapter writes to, and how much two of them overlap (arXiv 2509.22621, section 6).

Shapes: r rank of the adapter, k <= r dimensions of a subspace, d_out and d_in width of the adapted matrix.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

Definition = Literal["product", "lora_B"]
"""`product`: the column space of the update B A (protocol `strict`). `lora_B`: the first r left singular vectors of B
whatever their singular values, A ignored, as published (`paper`). They differ where B or A has not the full rank r."""

PRECISION = float(np.finfo(np.float32).eps)
"""Of the stored weights: what is below it, relative to the largest singular value, is rounding."""


def column_space(b: Matrix, a: Matrix, definition: Definition) -> Matrix | None:
    """Orthonormal basis [d_out, k] of the subspace that the update B A writes to; None where the update is zero.

    The product, d_out x d_in, is never formed: with B = Q R and A^T = P S its left singular vectors are Q times those
    of the r x r matrix R S^T.

    Args:
        b: [d_out, r].
        a: [r, d_in].
        definition: which subspace is meant.
    """
    if not b.any() or not a.any():
        return None
    if definition == "lora_B":
        vectors, _, _ = np.linalg.svd(b, full_matrices=False)
        return np.asarray(vectors[:, : b.shape[1]])
    q, r = np.linalg.qr(b)
    _, s = np.linalg.qr(a.T)
    vectors, values, _ = np.linalg.svd(r @ s.T)
    rank = int((values > values[0] * max(b.shape[0], a.shape[1]) * PRECISION).sum()) if values[0] > 0 else 0
    return np.asarray(q @ vectors[:, :rank]) if rank else None


def overlap(left: Matrix, right: Matrix) -> float:
    """||U1^T U2||_F^2 / min(k1, k2), from 0 (orthogonal) to 1 (equal, or the one within the other).

    The mean squared cosine of the principal angles. As published, where both have r dimensions.

    Args:
        left: orthonormal basis [d_out, k1].
        right: orthonormal basis [d_out, k2].
    """
    shared = float(np.square(left.T @ right).sum()) / min(left.shape[1], right.shape[1])
    return float(min(max(shared, 0.0), 1.0))


def chance_level(left: Matrix, right: Matrix) -> float:
    """Expected overlap of two random subspaces of these dimensions: max(k1, k2) / d_out.

    E ||U1^T U2||_F^2 = k1 k2 / d_out, because a random unit vector has the expected square 1 / d_out in each direction.
    """
    return float(max(left.shape[1], right.shape[1]) / left.shape[0])
