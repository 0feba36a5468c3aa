"""Stored adapters on one loaded base, one after the other, through `ia2-hf`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from ia2_eval.commands import BATCH_SIZE
from ia2_eval.lm.adapter_effect import require_effect
from ia2_eval.lm.base_model import BaseFiles, load, use_threads_for
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.lm.merged import merged_adapter
from ia2_eval.lm.peft_adapters import NAME, attached

if TYPE_CHECKING:
    from ia2_eval.adapters.stored import StoredAdapter


class HFAdapters:
    """A base in memory, and whatever adapter is put on it."""

    def __init__(self, files: BaseFiles, device: str | None, batch_size: int | None, paper: bool) -> None:
        """
        Args:
            files: of the base.
            device: see `base_model.load`.
            batch_size: requests per forward pass.
            paper: evaluate merged adapters and compute probabilities in the model's own dtype, as published.
        """
        self._base = load(files, device)
        use_threads_for(self._base.model)
        self._batch_size = batch_size or BATCH_SIZE
        self._paper = paper
        self._tokens: dict[str, list[int]] = {}
        self._shares_prefix: bool | None = None  # a no is not kept: it may be due to an adapter that diverged

    @contextmanager
    def adapted(self, adapter: StoredAdapter | None) -> Iterator[IA2HF]:
        """lm-eval's model with an adapter, or of the base alone.

        Raises:
            UserError: the adapter does not fit the base, or does nothing to it.
        """
        with attached(self._base.model, adapter.directory) if adapter else nullcontext(self._base.model) as model:
            if adapter:
                require_effect(model, NAME)
            with merged_adapter(model) if self._paper else nullcontext():
                lm = IA2HF(
                    pretrained=model,
                    tokenizer=self._base.tokenizer,
                    batch_size=self._batch_size,
                    softmax_dtype=None if self._paper else "float32",
                    shares_prefix=self._shares_prefix,
                    tokens=self._tokens,
                )
                yield lm
                self._shares_prefix = lm.shares_prefix or None
