"""Work in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from lm_eval.models.utils_hf import clear_torch_cache

T = TypeVar("T")


def in_batches(items: Sequence[T], size: int, work: Callable[[Sequence[T]], None]) -> None:
    """Work on batches; where memory does not suffice, on halves from there on.

    Args:
        items: in the order in which they are worked on; the largest first, so that memory is short early if ever.
        size: of a batch at most.
        work: done for each batch, from the beginning again after a failure.

    Raises:
        torch.OutOfMemoryError: a single item does not fit.
    """
    start = 0
    while start < len(items):
        try:
            work(items[start : start + size])
            start += size
            continue
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        # Here, where the exception is gone and with it the tensors of its frames.
        size = (size + 1) // 2
        clear_torch_cache()
