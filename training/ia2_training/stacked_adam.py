"""Adam for several adapters at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class StackedAdam:
    """Adam (arXiv 1412.6980) on weights stacked over adapters, with a learning rate for each.

    `torch.optim.Adam`, with its defaults and without weight decay, for each adapter, up to the last bits.
    """

    def __init__(self, weights: Tensor, learning_rates: Sequence[float]) -> None:
        """Fresh state.

        Args:
            weights: [K, P], of K adapters.
            learning_rates: K of them.
        """
        self.learning_rates = torch.tensor(learning_rates, dtype=weights.dtype, device=weights.device)[:, None]
        self.mean = torch.zeros_like(weights)  # of the gradient, [K, P]
        self.mean_square = torch.zeros_like(weights)
        self.steps = 0

    @torch.no_grad()
    def step(self, weights: Tensor) -> None:
        """One step, in place.

        Args:
            weights: [K, P], with their gradient.
        """
        assert weights.grad is not None
        self.steps += 1
        self.mean.lerp_(weights.grad, 1 - BETAS[0])
        self.mean_square.mul_(BETAS[1]).addcmul_(weights.grad, weights.grad, value=1 - BETAS[1])
        mean_correction, square_correction = (1 - beta**self.steps for beta in BETAS)
        scale = (self.mean_square.sqrt() / math.sqrt(square_correction)).add_(EPSILON)
        weights.addcdiv_(self.mean * (self.learning_rates / -mean_correction), scale)

    def keep(self, adapters: Sequence[int]) -> None:
        """Forget the state of all adapters but these."""
        kept = list(adapters)
        self.learning_rates, self.mean, self.mean_square = (
            state[kept] for state in (self.learning_rates, self.mean, self.mean_square)
        )
