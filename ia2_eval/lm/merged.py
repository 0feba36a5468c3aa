"""Adapters merged into the base weights, as the `paper` protocol evaluates them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel


@contextmanager
def merged_adapter(model: PeftModel) -> Iterator[None]:
    """Within the context the adapter is merged into the base weights, rounded to their dtype; afterwards they are as
    before.

    PEFT's own unmerging subtracts the update from the rounded weights, which does not give them back in bfloat16.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    weights = [m.get_base_layer().weight for m in model.modules() if isinstance(m, BaseTunerLayer)]
    originals = [weight.detach().clone() for weight in weights]
    try:
        model.merge_adapter()
        yield
    finally:
        model.unmerge_adapter()
        with torch.no_grad():
            for weight, original in zip(weights, originals, strict=True):
                weight.copy_(original)
