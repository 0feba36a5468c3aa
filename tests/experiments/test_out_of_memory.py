"""Where memory does not suffice, fewer examples go through the model at once."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ia2_training.targets
import pytest
import torch
from rich.console import Console

from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.interruption import Interruption
from ia2_eval.experiments.train_cells import CellTrainer
from ia2_eval.experiments.watch import watch
from tests.experiments.small_passes import small_passes
from tests.experiments.small_runs import SmallRun, results, small_recipe

CPU = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
FOUR = small_recipe(methods=["sft", "ia2"], seeds=[0, 1], learning_rates=[3e-3, 1e-2], epochs=1, limit=1)
"""Two passes of four adapters, hence 16 rows a step."""


class Memory:
    """A memory for so many rows of one kind of work; the embedding layer notes the rows of all kinds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.most: dict[str, int] = {}
        self.error: Callable[[], Exception] = lambda: torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2 B"
        )
        self.rows: list[tuple[str, int]] = []
        self.method = ""
        self._work = ""
        self._held: list[weakref.ref[Any]] = []
        embed = torch.nn.Embedding.forward

        def forward(layer: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
            work = self._work or ("training" if torch.is_grad_enabled() else "dev")
            self.rows.append((work, len(ids)))
            assert [held() for held in self._held] == [None] * len(self._held)  # or there is no more than before
            embedded = embed(layer, ids)
            if len(ids) > self.most.get(f"{work} {self.method}", self.most.get(work, 1000)):
                self._held.append(weakref.ref(embedded))
                raise self.error()
            return embedded

        def train(trainer: CellTrainer, cells: Sequence[Any], *rest: Any) -> None:
            self.method = cells[0].method
            original_train(trainer, cells, *rest)

        original_train = CellTrainer.train
        patch.setattr(torch.nn.Embedding, "forward", forward)
        patch.setattr(CellTrainer, "train", train)
        patch.setattr(ia2_training.targets, "decode", self._known_as("teacher", ia2_training.targets.decode))
        patch.setattr(Evaluator, "evaluate", self._known_as("evaluation", Evaluator.evaluate))

    def _known_as(self, work: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def named(*arguments: Any, **settings: Any) -> Any:
            self._work = work
            try:
                return do(*arguments, **settings)
            finally:
                self._work = ""

        return named

    def rows_of(self, work: str) -> list[int]:
        return [rows for kind, rows in self.rows if kind == work]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


def adapters(run: SmallRun) -> list[bytes]:
    return [run.adapter(record) for record in run.records]


@pytest.mark.parametrize("together", [True, False])
def test_training_goes_on_with_half_of_the_rows(together: bool, memory: Memory, tmp_path: Path) -> None:
    settings = {} if together else {"adapters_per_pass": 1}
    most, tried = (5, [16, 8, 4]) if together else (2, [4, 2])
    asked = small_passes(FOUR, tmp_path / "asked", micro_batch_size=tried[-1], **settings)
    memory.rows.clear()
    memory.most["training"] = most
    run = small_passes(FOUR, tmp_path / "found", **settings)
    assert [record.error for record in run.records] == [None] * 8
    assert run.halved == [("training", rows) for rows in tried[1:]]  # once, for the second pass as well
    assert memory.rows_of("training")[: len(tried)] == tried
    assert run.together_failed == [] and run.trained == asked.trained
    assert results(run.records) == results(asked.records)
    assert adapters(run) == adapters(asked)


def test_the_first_half_is_of_the_rows_that_were_too_many(memory: Memory, tmp_path: Path) -> None:
    """An optimiser step of more rows than a forward pass had of them."""
    memory.most["training"] = 5
    run = small_passes(FOUR, tmp_path, micro_batch_size=6)
    assert run.halved == [("training", 3)]


def test_the_teacher_answers_fewer_queries_at_once(memory: Memory, tmp_path: Path) -> None:
    undisturbed = small_passes(FOUR, tmp_path / "undisturbed")
    memory.rows.clear()
    memory.most["teacher"] = 2
    run = small_passes(FOUR, tmp_path / "run")
    assert run.halved == [("the teacher's targets", 3), ("the teacher's targets", 2)]  # of six with the dev set
    assert memory.rows_of("teacher") == [6, 3, *[2] * 6]  # of both seeds
    assert max(memory.rows_of("training")) == 16
    for record, other in zip(run.records, undisturbed.records, strict=True):
        assert record.training and other.training
        assert record.training.dev_loss == pytest.approx(other.training.dev_loss, rel=1e-4)


@pytest.mark.parametrize("text", [CPU + "17 bytes.", "MPS backend out of memory (MPS allocated: 9.00 GB)"])
def test_evaluation_goes_on_with_half_of_the_requests(text: str, memory: Memory, tmp_path: Path) -> None:
    recipe = small_recipe(methods=["icl", "sft"], epochs=1, temperature_scaling=True)
    asked = small_passes(recipe, tmp_path / "asked", batch_size=3)
    memory.rows.clear()
    memory.most["evaluation"], memory.error = 3, lambda: RuntimeError(text)
    run = small_passes(recipe, tmp_path / "found")
    assert run.halved == [("evaluation", 6), ("evaluation", 3)]
    assert results(run.records) == results(asked.records)
    assert [rows for rows in memory.rows_of("evaluation") if rows > 3] == [12, 6]


def test_cells_that_do_not_fit_alone_fail(memory: Memory, tmp_path: Path) -> None:
    """They are tried in halves too; the next pass begins with as many examples as this one did."""
    recipe = FOUR.model_copy(update={"seeds": (0,)})
    undisturbed = small_passes(recipe, tmp_path / "undisturbed")
    memory.most["training sft"] = 0
    run = small_passes(recipe, tmp_path / "run")
    assert [len(cells) for cells in run.trained] == [2, 1, 1, 2]
    assert run.halved == [("training", 4), ("training", 2), ("training", 1)]
    for record in run.records[:2]:
        assert (record.status, record.transient, record.attempt) == ("failed", False, 1)
        assert record.cause == "out of memory with 1 example at a time (OutOfMemoryError: CUDA out of memory)"
    assert results(run.records[2:]) == results(undisturbed.records[2:])


def test_queries_that_the_teacher_cannot_answer_alone(memory: Memory, tmp_path: Path) -> None:
    memory.most["teacher ia2"] = 0
    run = small_passes(
        small_recipe(methods=["ia2", "ia2_sft"], learning_rates=[3e-3, 1e-2], epochs=1, limit=1), tmp_path
    )
    assert memory.rows_of("teacher") == [6, 3, 2, 1, 1, 1, 6]  # together, one by one, and for the next pass
    assert [record.status for record in run.records] == ["failed", "failed", "ok", "ok"]
    assert run.records[0].cause == "out of memory with 1 example at a time (OutOfMemoryError: CUDA out of memory)"


def test_an_evaluation_that_does_not_fit_alone_fails(memory: Memory, tmp_path: Path) -> None:
    recipe = small_recipe(methods=["no_icl", "icl"], limit=4)
    undisturbed = small_passes(recipe, tmp_path / "undisturbed")
    memory.most["evaluation"], memory.error = 0, MemoryError
    evaluate = Evaluator.evaluate

    def only_the_first(evaluator: Evaluator, cell: Any, model: Any) -> Any:
        memory.most["evaluation"] = 0 if cell.method == "no_icl" else 1000
        return evaluate(evaluator, cell, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", only_the_first)
        run = small_passes(recipe, tmp_path / "run")
    assert run.halved == [("evaluation", 2), ("evaluation", 1)]
    assert run.records[0].cause == "out of memory with 1 example at a time (MemoryError)"
    assert results(run.records[1:]) == results(undisturbed.records[1:])  # again with as many as before


def test_ctrl_c_is_heeded_before_another_try(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interruption, "pressed", True)
    memory.most["training"] = 5
    with pytest.raises(KeyboardInterrupt):
        small_passes(FOUR, tmp_path)
    assert memory.rows_of("training") == [16]


def test_it_is_shown() -> None:
    console = Console(file=io.StringIO(), width=200)
    with watch(4, 0, console) as progress:
        progress.halved("training", 8)
        progress.halved("evaluation", 1)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "out of memory: now 8 examples at once in training",
        "out of memory: now 1 example at once in evaluation",
    ]
