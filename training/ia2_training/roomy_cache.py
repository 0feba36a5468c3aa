"""A key-value cache in which decoding steps copy nothing."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

STEP = 256
"""Positions that are made room for at first, of however many may come."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [B, H, T, d] of a layer in tensors with room for what is to come."""

    def __init__(self, room: int) -> None:
        """
        Args:
            room: positions that follow the first ones at most, as far as is known.
        """
        super().__init__()
        self._room = min(room, STEP)

    def allocate(self, rows: int, width: int, keys: Tensor, values: Tensor) -> None:
        """Zeros for `width` positions of some rows, with the heads, width and type of the given states."""
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._keys, self._values = (
            states.new_zeros(rows, states.shape[1], width + self._room, states.shape[3]) for states in (keys, values)
        )
        self._show(width)

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append states; those of all positions so far, views into the tensors."""
        if not self.is_initialized:
            self._room += keys.shape[2]
            self.allocate(keys.shape[0], 0, keys, values)
        start, end = self.keys.shape[2], self.keys.shape[2] + keys.shape[2]
        if end > self._keys.shape[2]:
            self._room = max(2 * self._room, end - start)
            keys_so_far, values_so_far = self.keys, self.values
            self.allocate(keys.shape[0], start, keys, values)
            self._keys[:, :, :start], self._values[:, :, :start] = keys_so_far, values_so_far
        self._keys[:, :, start:end], self._values[:, :, start:end] = keys, values
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Forget all rows but these."""
        length, indices = self.keys.shape[2], indices.to(self.device)
        self._keys, self._values = self._keys[indices], self._values[indices]
        self._show(length)

    def _show(self, length: int) -> None:
        self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]
