from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from ia2_eval.experiments.batch_sizes import BatchSizes, Work
from ia2_eval.experiments.settings import Settings


class Model:
    """Embeddings, whose forward passes are counted."""

    def __init__(self) -> None:
        self.embeddings = torch.nn.Embedding(2, 3)

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.embeddings

    def read(self, rows: int) -> None:
        self.embeddings(torch.zeros(rows, 1, dtype=torch.long))


class Worker:
    def __init__(self) -> None:
        self.model: Any = Model()
        self.halved: list[tuple[Work, int]] = []
        self.sizes = BatchSizes(self.model, Settings(), lambda work, most: self.halved.append((work, most)))


def test_the_settings_are_where_it_begins() -> None:
    sizes = BatchSizes(Worker().model, Settings(batch_size=7, micro_batch_size=3), lambda work, most: None)
    assert (sizes.evaluation, sizes.training, sizes.teacher) == (7, 3, 8)


def test_half_of_the_rows_that_were_too_many_down_to_one() -> None:
    worker = Worker()

    def do() -> None:
        worker.model.read(min(13, worker.sizes.training or 13))
        raise MemoryError

    with pytest.raises(MemoryError):
        worker.sizes.fit("training", do)
    assert worker.halved == [("training", 7), ("training", 4), ("training", 2), ("training", 1)]
    assert (worker.sizes.evaluation, worker.sizes.training, worker.sizes.teacher) == (32, 1, 8)


def test_fewer_rows_are_no_help_before_the_first_forward_pass() -> None:
    """Neither the rows of earlier work count, nor those of work that this consists of."""
    worker = Worker()
    worker.model.read(16)

    def do() -> None:
        worker.sizes.fit("teacher", lambda: worker.model.read(8))
        raise MemoryError

    for work in (do, lambda: (_ for _ in ()).throw(MemoryError)):
        with pytest.raises(MemoryError):
            worker.sizes.fit("training", work)
        assert worker.halved == []
        worker.model.read(16)


def test_rows_that_do_not_become_fewer_are_not_tried_for_ever() -> None:
    worker = Worker()

    def do() -> None:
        worker.model.read(6)
        raise MemoryError

    with pytest.raises(MemoryError):
        worker.sizes.fit("training", do)
    assert worker.halved == [("training", 3), ("training", 2), ("training", 1)]


def test_other_trouble_is_not_tried_again() -> None:
    worker = Worker()

    def do() -> None:
        worker.model.read(16)
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        worker.sizes.fit("training", do)
    assert worker.halved == []


def test_memory_is_free_before_the_next_try() -> None:
    class Ring:
        """Held by itself, as what frames and exceptions refer to often is."""

        def __init__(self) -> None:
            self.itself = self

    worker = Worker()
    held: list[weakref.ref[Ring]] = []

    def do() -> int:
        assert [ring() for ring in held] == [None] * len(held)
        ring = Ring()
        held.append(weakref.ref(ring))
        worker.model.read(rows := worker.sizes.training or 4)
        if rows > 1:
            raise MemoryError
        return rows

    assert worker.sizes.fit("training", do) == 1
    assert len(held) == 3
