"""A base model with the adapter that a run left on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_training import attach, detach

from ia2_eval.lm.merged import merged_adapter

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class _Stored:
    """The kind of adapter that a directory holds, whichever it is."""

    directory: Path

    def peft_config(self) -> PeftConfig | None:
        from peft import PeftConfig

        if not (self.directory / "adapter_config.json").is_file():
            return None  # a fully trained model
        config = PeftConfig.from_pretrained(str(self.directory))
        config.inference_mode = False  # else its weights would be rounded to the dtype of the base
        config.base_model_name_or_path = None  # a path on the machine that trained it
        return config


@contextmanager
def stored_adapter(base: PreTrainedModel, directory: Path, merged: bool) -> Iterator[PreTrainedModel | PeftModel]:
    """The base with an adapter of any kind, which is taken off again at the end.

    Args:
        base: without an adapter.
        directory: of the adapter.
        merged: whether it is merged into the base weights, as the `paper` protocol evaluates it.

    Raises:
        ValueError: the directory holds no adapter, or that of another model.
    """
    adapted = attach(base, _Stored(directory), seed=0, initial_adapter=directory)
    try:
        with merged_adapter(adapted) if merged else nullcontext():
            yield adapted
    finally:
        detach(adapted)
