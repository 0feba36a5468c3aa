from __future__ import annotations

import pytest
import torch
from ia2_training.stacked_adam import StackedAdam
from torch import Tensor

RATES = [1e-1, 3e-3, 1e-5]


def gradients(steps: int) -> Tensor:
    """Of 3 adapters with 7 numbers each; some are zero, some are tiny."""
    scale = torch.tensor([1.0, 1.0, 0.0, 1e-6, 1e3, 1.0, 1e-9], dtype=torch.float64)
    return torch.randn(steps, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * scale


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_every_step_is_one_of_torch_adam_for_each_adapter(dtype: torch.dtype, tolerance: float) -> None:
    start = torch.randn(3, 7, generator=torch.Generator().manual_seed(1), dtype=dtype)
    alone = [row.clone().requires_grad_() for row in start]
    optimisers = [torch.optim.Adam([row], lr=rate) for row, rate in zip(alone, RATES, strict=True)]
    stacked = start.clone().requires_grad_()
    adam = StackedAdam(stacked, RATES)
    for step in gradients(30).to(dtype):
        stacked.grad = step
        adam.step(stacked)
        for row, gradient, optimiser in zip(alone, step, optimisers, strict=True):
            row.grad = gradient.clone()
            optimiser.step()
        torch.testing.assert_close(stacked.detach(), torch.stack(alone).detach(), rtol=tolerance, atol=tolerance)
    assert stacked.dtype == dtype


def test_the_first_step_by_hand() -> None:
    """lr * g / (|g| + eps), whatever the moments decay by."""
    weights = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    weights.grad = torch.tensor([[4.0], [-1e-8]], dtype=torch.float64)
    StackedAdam(weights, [0.5, 0.25]).step(weights)
    torch.testing.assert_close(weights.detach(), torch.tensor([[-0.5], [0.125]], dtype=torch.float64))


def test_those_that_stay_go_on_as_if_nobody_had_left() -> None:
    all_weights = torch.zeros(3, 7, dtype=torch.float64, requires_grad=True)
    everybody = StackedAdam(all_weights, RATES)
    some_weights = all_weights.detach().clone().requires_grad_()
    some = StackedAdam(some_weights, RATES)
    for number, step in enumerate(gradients(12)):
        if number == 5:
            some.keep([0, 2])
            some_weights = some_weights.detach()[[0, 2]].requires_grad_()
        all_weights.grad, some_weights.grad = step, step if number < 5 else step[[0, 2]]
        everybody.step(all_weights)
        some.step(some_weights)
    assert torch.equal(some_weights, all_weights[[0, 2]])
