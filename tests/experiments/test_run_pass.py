"""Several adapters trained in one pass, and training apart from evaluation."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ia2_training
import pytest
from ia2_training import Check
from rich.console import Console

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.record import StoredTraining
from ia2_eval.experiments.store import COMPLETE, Store
from ia2_eval.experiments.train_cells import CellTrainer
from ia2_eval.experiments.watch import watch
from tests.experiments.small_runs import SmallRun, results, small_recipe, small_run

RECIPE = small_recipe(methods=["sft", "ia2", "ia2_sft"], seeds=[0, 1], learning_rates=[3e-3, 1e-2], limit=4)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Three passes of four adapters. Look, do not touch."""
    return small_run(RECIPE, tmp_path_factory.mktemp("together"))


def dev_losses(run: SmallRun) -> list[float]:
    return [phase.dev_loss or 0 for r in run.records if r.training for phase in r.training.phases]


def test_together_is_as_one_by_one(together: SmallRun, tmp_path: Path) -> None:
    alone = small_run(RECIPE, tmp_path, adapters_per_pass=1)
    assert [len(cells) for cells in together.trained] == [4, 4, 4]
    assert [len(cells) for cells in alone.trained] == [1] * 12
    assert [r.key for r in together.records] == [r.key for r in alone.records]
    assert dev_losses(together) == pytest.approx(dev_losses(alone), rel=1e-4)
    for a, b in zip(together.records, alone.records, strict=True):
        assert a.training and b.training
        for x, y in zip(a.training.phases, b.training.phases, strict=True):
            assert (x.loss, x.steps, x.stopped) == (y.loss, y.steps, y.stopped)
            assert x.train_loss == pytest.approx(y.train_loss, rel=1e-3)
        assert a.training.trainable_parameters == b.training.trainable_parameters
        assert a.evaluations[0].metrics["nll"] == pytest.approx(b.evaluations[0].metrics["nll"], rel=1e-3)


def test_a_pass_starts_from_the_adapters_of_an_earlier_pass(together: SmallRun, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"methods": RECIPE.methods[2:]})
    at_once = small_run(recipe, tmp_path)
    assert [len(cells) for cells in at_once.trained] == [4]
    continued = {record.key: record for record in together.records}
    for record in at_once.records:
        other = continued[record.key]
        assert record.training and other.training
        assert [phase.loss for phase in record.training.phases] == ["alignment", "cross_entropy"]
        for x, y in zip(record.training.phases, other.training.phases, strict=True):
            assert x.dev_loss == pytest.approx(y.dev_loss, rel=1e-4)


def test_a_run_that_was_killed_after_training_only_evaluates(
    together: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[Cell] = []
    evaluate = Evaluator.evaluate

    def killed(self: Evaluator, cell: Cell, model: Any) -> Any:
        if len(evaluated) == 6:
            raise KeyboardInterrupt
        evaluated.append(cell)
        return evaluate(self, cell, model)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Evaluator, "evaluate", killed)
        small_run(RECIPE, tmp_path)
    written = Store(tmp_path).partial_path("killed") / COMPLETE
    written.mkdir(parents=True)  # and as if the kill had come before the last adapters were in place
    for cell in [record.cell for record in together.records[6:8]]:
        (tmp_path / "adapters" / cell.key).rename(written / cell.key)
    again = small_run(RECIPE, tmp_path)
    assert len(again.started) == 6
    assert [len(cells) for cells in again.trained] == [4]  # `sft` and `ia2` were trained
    assert results(again.records) == results(together.records)
    for record in again.records:
        assert again.adapter(record) == together.adapter(record)


FIVE = small_recipe(methods=["ia2"], learning_rates=[1e-3, 2e-3, 3e-3, 5e-3, 1e-2], epochs=1, limit=1)


def test_a_bad_cell_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that fails is halved until the bad cell is alone; its record says both reasons."""
    train = CellTrainer.train

    def faulty(self: CellTrainer, cells: Sequence[Cell], progress: Any) -> None:
        if 3e-3 in [cell.learning_rate for cell in cells]:
            raise MemoryError(f"{len(cells)} are too many") if len(cells) > 1 else RuntimeError("this one is bad")
        train(self, cells, progress)

    monkeypatch.setattr(CellTrainer, "train", faulty)
    run = small_run(FIVE, tmp_path)
    rates = [[cell.learning_rate for cell in cells] for cells in run.trained]
    assert rates == [[1e-3, 2e-3, 3e-3, 5e-3, 1e-2], [1e-3, 2e-3, 3e-3], [1e-3, 2e-3], [3e-3], [5e-3, 1e-2]]
    assert [len(cells) for cells in run.together_failed] == [5, 3]
    (failed,) = [record for record in run.records if record.status == "failed"]
    assert failed.cell.learning_rate == 3e-3 and failed.error
    assert failed.error.startswith("5 adapters were trained together, which failed:\n")
    assert failed.error.index("MemoryError: 5 are too many") < failed.error.index("RuntimeError: this one is bad")
    assert failed.error.splitlines()[-1] == "RuntimeError: this one is bad"  # what tables and progress lines show
    assert (failed.cause, failed.transient) == ("RuntimeError: this one is bad", False)
    monkeypatch.undo()
    assert small_run(FIVE, tmp_path).started == []  # nobody asked for another try
    run.store.set_aside(failed)
    retried = small_run(FIVE, tmp_path)
    assert retried.started == [failed.cell]
    assert {record.status for record in retried.records} == {"ok"}


def test_a_pass_that_is_too_large_is_trained_in_smaller_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = CellTrainer.train

    class Tensor:
        """Held by the frame of an attempt that fails."""

    held: list[weakref.ref[Tensor]] = []

    def small_memory(self: CellTrainer, cells: Sequence[Cell], progress: Any) -> None:
        assert [tensor() for tensor in held] == [None] * len(held)  # or there would be no more memory than before
        if len(cells) > 2:
            tensor = Tensor()
            held.append(weakref.ref(tensor))
            raise MemoryError("more than two are too many")
        train(self, cells, progress)

    monkeypatch.setattr(CellTrainer, "train", small_memory)
    run = small_run(FIVE, tmp_path)
    assert [len(cells) for cells in run.trained] == [5, 3, 2, 1, 2]
    assert len(held) == 2
    assert [record.error for record in run.records] == [None] * 5
    together = [run.store.training(record.key) for record in run.records]
    assert [stored.together for stored in together if stored] == [2, 2, 1, 2, 2]


def test_what_continues_a_failed_cell_trains_all_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = CellTrainer.train

    def faulty(self: CellTrainer, cells: Sequence[Cell], progress: Any) -> None:
        if any((cell.method, cell.learning_rate) == ("ia2", 1e-2) for cell in cells):
            raise RuntimeError("bad")
        train(self, cells, progress)

    monkeypatch.setattr(CellTrainer, "train", faulty)
    recipe = small_recipe(methods=["ia2", "ia2_sft"], learning_rates=[1e-3, 3e-3, 1e-2], epochs=1, limit=1)
    run = small_run(recipe, tmp_path)
    assert [[cell.method for cell in cells] for cells in run.trained] == [
        *(["ia2"] * 3, ["ia2"] * 2, ["ia2"]),
        *(["ia2_sft"] * 2, ["ia2_sft"]),  # from the stored `ia2`, then from nothing
    ]
    assert [record.cell.label for record in run.records if record.status == "failed"] == [
        "embedded_mood N=4 seed 0 ia2 lr 0.01"
    ]
    assert all(r.training and len(r.training.phases) == 2 for r in run.records if r.cell.method == "ia2_sft")


def test_what_training_took_is_in_the_record(together: SmallRun) -> None:
    for record in together.records:
        path = together.store.adapter_path(record.key) / "training.json"
        stored = StoredTraining.model_validate_json(path.read_bytes())
        assert stored.training == record.training
        assert stored.together == 4
        assert 0 < stored.seconds < record.provenance.wall_seconds
        assert (record.provenance.peak_memory_bytes or 0) >= (stored.peak_memory_bytes or 0) > 0
    passes = [together.records[start : start + 4] for start in (0, 4, 8)]
    for members in passes:
        stored_seconds = {
            json.loads((together.store.adapter_path(r.key) / "training.json").read_text())["seconds"] for r in members
        }
        assert len(stored_seconds) == 1  # each has an equal share


KINDS = {"lora": 24576, "ia3": 4 * 3 * 128, "prompt": 5 * 128, "prefix": 4 * 2 * 5 * 128, "full": 839_040}


@pytest.mark.parametrize(("protocol", "source"), [("strict", "embedded_mood"), ("paper", "embedded_arithmetic")])
def test_every_kind_of_adapter(protocol: str, source: str, tmp_path: Path) -> None:
    """All are trained, continued, stored, and evaluated, each as itself."""
    settings = {"prompt": {"virtual_tokens": 5}, "prefix": {"virtual_tokens": 5}}
    recipe = small_recipe(
        protocol=protocol,
        base={"model": "embedded", "dtype": "bfloat16" if protocol == "paper" else "float32"},
        benchmarks=[{"source": source, "n": 2}],
        methods=["ia2", "ia2_sft"],
        learning_rates=[],
        adapters=[{"type": kind, "learning_rates": [1e-3], **settings.get(kind, {})} for kind in KINDS],
        epochs=2,
        limit=3,
    )
    done = small_run(recipe, tmp_path)
    assert [record.error for record in done.records] == [None] * 10
    trained = [record for record in done.records if record.cell.adapter and record.training]
    assert {r.cell.adapter.type: r.training.trainable_parameters for r in trained} == KINDS  # type: ignore[union-attr]
    for ia2, ia2_sft in zip(trained[::2], trained[1::2], strict=True):
        assert ia2.training and ia2_sft.training
        assert ia2_sft.training.phases[0] == ia2.training.phases[0]
    rows = [[(row["prediction"], row["log_likelihoods"]) for row in done.samples(record)] for record in trained]
    assert protocol == "paper" or len(set(map(str, rows))) == len(rows)
    checkpoints = {r.cell.adapter.type for r in trained if (tmp_path / "adapters" / r.key / "config.json").is_file()}  # type: ignore[union-attr]
    assert checkpoints == {"full"}


def test_low_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teacher phases train on the queries, whose labels nobody has; ground-truth phases on the labelled examples."""
    adapt = ia2_training.adapt
    jobs: list[tuple[str, set[str], int]] = []

    def spy(model: Any, tokenizer: Any, train: Any, dev: Any, *, unlabelled: Any, method: Any, **rest: Any) -> Any:
        jobs.append((method.name, {query.answer for query in unlabelled}, len(unlabelled)))
        return adapt(model, tokenizer, train, dev, unlabelled=unlabelled, method=method, **rest)

    monkeypatch.setattr(ia2_training, "adapt", spy)
    low = {"low_data": {"unlabelled": 6, "orders": 2}}
    recipe = small_recipe(
        methods=[
            {"method": "ia2", **low},
            {"method": "ia2_sft", **low},
            {"method": "sft", "labels": "icl_outputs", **low},
            {"method": "ia2", "demonstration_orders": 2},
        ],
        epochs=3,
        limit=4,
    )
    done = small_run(recipe, tmp_path)
    assert [record.error for record in done.records] == [None] * 4
    assert sorted(jobs) == [("ia2", set(), 0), ("ia2", {""}, 12), ("ia2_sft", {""}, 12), ("sft", {""}, 12)]
    names = [("ia2", "low data M=6 K=2"), ("ia2_sft", "low data M=6 K=2"), ("sft", "icl_outputs, low data M=6 K=2")]
    trainings = [done.record(method, variant=variant).training for method, variant in names]
    steps = [[phase.steps for phase in training.phases] for training in trainings if training]
    assert steps == [[9], [9, 3], [9]]  # three batches of 12 queries, one of 4 examples; three epochs
    assert [training.extra_labels for training in trainings if training] == [0, 2, 0]
    orders = done.record("ia2", variant="2 orders").training
    assert orders and [phase.steps for phase in orders.phases] == [3]


def test_what_is_aligned_reaches_training(tmp_path: Path) -> None:
    """Other outputs, layers and distances are other losses; the untrained adapter's, at step 0, is exact."""
    aligned = [{"output": "residual"}, {"output": "mlp"}, {"distance": "cosine"}, {"layers": {"first": 2, "last": 3}}]
    recipe = small_recipe(
        methods=["ia2", *({"method": "ia2", "alignment": each} for each in aligned)], epochs=1, limit=1
    )
    done = small_run(recipe, tmp_path)
    assert [record.error for record in done.records] == [None] * 5
    assert len({r.training.phases[0].dev_loss for r in done.records if r.training}) == 5


def test_progress_of_a_pass_is_shown() -> None:
    from tests.experiments.small_runs import EMBEDDED, planned

    cells = planned(RECIPE, EMBEDDED)[:4]
    console = Console(file=io.StringIO(), width=200)
    with watch(4, 0, console) as progress:
        progress.training_started(cells)
        progress.training(Check("alignment", 1, 9, 0.5, 0.25))
        progress.together_failed(cells, RuntimeError("out of memory\nand more"))
        progress.training_started(cells[:1])
    said = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.partition("; ")[0] for line in said] == [
        "training embedded_mood sft N=4: 4 adapters together",
        "training embedded_mood sft N=4: 4 adapters together failed (RuntimeError: out of memory)",
    ]
