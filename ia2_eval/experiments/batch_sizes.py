"""How many examples go through the model at once: fewer from the time on that memory did not suffice."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ia2_eval.experiments.faults import kind_of
from ia2_eval.experiments.settings import Settings
from ia2_eval.lm.sharded import joined

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Work = Literal["training", "teacher", "evaluation"]
"""Fields of `BatchSizes`."""
T = TypeVar("T")


class BatchSizes:
    """The most examples of one forward pass, for each kind of work; they change nothing but rounding.

    A worker has one. What was halved stays so for its life, for its other cells need about as much memory.
    """

    def __init__(self, model: PreTrainedModel, settings: Settings, halved: Callable[[Work, int], None]) -> None:
        """
        Args:
            model: the base, whose forward passes are counted.
            settings: what to begin with.
            halved: told what is to be done with how many examples now, before it is done again.
        """
        from ia2_training import TrainingConfig

        self.evaluation = settings.batch_size
        self.training = settings.micro_batch_size
        self.teacher = TrainingConfig.target_batch_size
        self.rows = 0
        """Of the last forward pass of the work under way."""
        self._halved = halved
        model.get_input_embeddings().register_forward_pre_hook(self._count)

    def fit(self, work: Work, do: Callable[[], T]) -> T:
        """Do the work; where memory does not suffice, again with half of the rows that were too many, down to one.

        The rows that were too many may be fewer than were allowed: an optimiser step is also cut by its tokens.

        Raises:
            Exception: that of `do`, which tells of other trouble than memory, or memory suffices for not even one row,
                or was too small before the first forward pass.
        """
        while True:
            self.rows = 0
            try:
                done = do()
                self.rows = 0  # they are not those of the work that this is a part of
                return done
            except Exception as error:
                tried = min(self.rows, getattr(self, work) or self.rows)
                if kind_of(error) != "memory" or tried < 2 or joined():  # other processes wait for this one
                    raise
            # Here, where the exception is gone and with it the tensors of its frames.
            setattr(self, work, half := (tried + 1) // 2)
            free_memory()
            self._halved(work, half)

    def _count(self, _: object, inputs: tuple[Any, ...]) -> None:
        if inputs:
            self.rows = len(inputs[0])


def free_memory() -> None:
    """Give the device's memory back that nothing holds any longer."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
