"""Runs from the plan to the records, with the embedded model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ia2_training
import pytest
import torch
from ia2_training import Adapted, AlignmentLoss, StoredTensor, TeacherTargets, TrainedLora

import ia2_eval.experiments.run as run_module
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import BaseModel, load, locate
from tests.experiments.conftest import BOTH
from tests.experiments.small_runs import ALL_METHODS, SmallRun, results, small_recipe, small_run


@pytest.mark.parametrize("name", ["strict_run", "paper_run", "ood_run"])
def test_every_cell_ends_well(name: str, request: pytest.FixtureRequest) -> None:
    run: SmallRun = request.getfixturevalue(name)
    assert [r.error for r in run.records] == [None] * len(run.records)
    assert {r.status for r in run.records} == {"ok"}
    assert [r.cell for r in run.records] == run.started
    for record in run.records:
        assert run.store.done(record.cell) == record
        assert tuple(e.eval for e in record.evaluations) == record.cell.evals
        assert [e.ood for e in record.evaluations] == [name != record.cell.source for name in record.cell.evals]
        assert (record.training is not None) == record.cell.trained
        stored = run.store.training(record.key)
        assert (stored.training if stored else None) == record.training
        assert record.provenance.device == "cpu" and record.provenance.wall_seconds > 0
        assert record.provenance.versions["torch"] == torch.__version__


def test_training_is_recorded(strict_run: SmallRun, paper_run: SmallRun) -> None:
    phases = {"sft": ["cross_entropy"], "ia2": ["alignment"], "ia2_sft": ["alignment", "cross_entropy"]}
    for run in (strict_run, paper_run):
        for record in run.records:
            if training := record.training:
                assert [phase.loss for phase in training.phases] == phases[record.cell.method]
                assert training.extra_labels == (0 if record.cell.method == "ia2" else 2)
                assert training.adapter == f"adapters/{record.key}"
                assert all(phase.steps == 4 for phase in training.phases)  # 4 epochs of one batch
                if run is paper_run:
                    assert all(phase.kept_step == 4 for phase in training.phases)
    aligned, continued = strict_run.record("ia2").training, strict_run.record("ia2_sft").training
    assert aligned and continued and continued.phases[0] == aligned.phases[0]


def test_methods_differ(strict_run: SmallRun) -> None:
    """The embedded model reads demonstrations, and training moves it: no method is another one by mistake."""
    for source in ("embedded_mood", "embedded_arithmetic"):
        rows = [strict_run.samples(strict_run.record(method, source)) for method in ALL_METHODS]
        outputs = {str([(row["prediction"], row["log_likelihoods"]) for row in cell]) for cell in rows}
        assert len(outputs) == len(ALL_METHODS)
    arithmetic = [strict_run.record(m, "embedded_arithmetic").evaluations[0] for m in ("no_icl", "icl")]
    assert arithmetic[0].metrics["acc"] < arithmetic[1].metrics["acc"]


@pytest.fixture
def copied(strict_run: SmallRun, tmp_path: Path) -> Store:
    """A copy of the strict run that a test may change."""
    shutil.copytree(strict_run.store.directory, tmp_path / "run")
    return Store(tmp_path / "run")


def again(store: Store, **changes: Any) -> SmallRun:
    return small_run(small_recipe(benchmarks=BOTH, **changes), store.directory)


def test_a_second_run_does_nothing(copied: Store, strict_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in copied.directory.rglob("*")}

    before = state()
    monkeypatch.setattr(run_module, "load", lambda *_: pytest.fail("there is nothing to load a model for"))
    second = again(copied)
    assert second.started == []
    assert state() == before
    assert second.records == strict_run.records


def test_only_what_is_missing_is_run(copied: Store, strict_run: SmallRun) -> None:
    lost, damaged = strict_run.record("ia2_sft"), strict_run.record("icl", "embedded_arithmetic")
    copied.record_path(lost.key).unlink()
    copied.record_path(damaged.key).write_text('{"schema_version": 1')
    second = again(copied)
    assert second.started == [lost.cell, damaged.cell]
    assert second.trained == []  # the adapter is still there
    assert second.damaged == [copied.record_path(damaged.key).with_suffix(".json.damaged")]
    assert results(second.records) == results(strict_run.records)


def test_a_larger_grid_runs_its_new_cells(copied: Store, strict_run: SmallRun) -> None:
    second = again(copied, learning_rates=[1e-2, 3e-3], methods=["no_icl", "ia2"])
    assert [(c.source, c.method, c.learning_rate) for c in second.started] == [
        ("embedded_mood", "ia2", 3e-3),
        ("embedded_arithmetic", "ia2", 3e-3),
    ]


def test_two_runs_are_equal_bit_for_bit(strict_run: SmallRun, tmp_path: Path) -> None:
    """And `ia2_sft`, which goes on from a stored `ia2` adapter in the one, trains both phases at once in the other."""
    for name in ("sft", "ia2_sft"):
        alone = small_run(small_recipe(methods=[name]), tmp_path / name)
        (record,) = alone.records
        assert results([record]) == results([strict_run.record(name)])
        assert alone.adapter(record) == strict_run.adapter(record)
        assert alone.samples(record) == strict_run.samples(record)


def test_an_ia2_adapter_that_was_deleted_is_trained_again(copied: Store, strict_run: SmallRun) -> None:
    record = strict_run.record("ia2_sft")
    for lost in (strict_run.record("ia2"), record):
        shutil.rmtree(copied.adapter_path(lost.key))
    copied.record_path(record.key).unlink()
    second = again(copied)
    assert second.started == [record.cell]
    assert second.trained == [[record.cell]]
    assert results(second.records) == results(strict_run.records)
    assert second.adapter(record) == strict_run.adapter(record)


def test_targets_are_collected_once_for_a_training_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []
    collect = TeacherTargets.collect

    def counting(model: Any, tokenizer: Any, train: Any, *rest: Any, **settings: Any) -> TeacherTargets:
        collected.append(len(train))
        return collect(model, tokenizer, train, *rest, **settings)

    monkeypatch.setattr(TeacherTargets, "collect", counting)

    def recipe(epochs: int) -> Recipe:
        methods = ["ia2", "ia2_sft", {"method": "sft", "labels": "icl_outputs"}]
        return small_recipe(
            benchmarks=[{"source": "embedded_mood", "n": [2, 4]}],
            methods=[*methods, {"method": "ia2+sft", "sft_weight": [0.1, 0.9]}, "soft_sft"],
            learning_rates=[1e-3, 1e-2],
            seeds=[0, 1],
            epochs=epochs,
            limit=1,
        )

    kept = tmp_path / "targets"
    done = small_run(recipe(epochs=1), tmp_path / "run", targets_dir=kept)
    assert [record.status for record in done.records] == ["ok"] * 48
    assert collected == [2, 2, 4, 4]  # once for each size and seed
    assert not done.store.targets_path.exists()
    small_run(recipe(epochs=2), tmp_path / "another run", targets_dir=kept)
    assert collected == [2, 2, 4, 4]


def test_targets_are_kept_with_the_run_until_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small_recipe(methods=["ia2"], epochs=1, limit=1)
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", failing)
        done = small_run(recipe, tmp_path)
    assert [record.status for record in done.records] == ["failed"]
    assert len(list(done.store.targets_path.iterdir())) == 1
    assert small_run(recipe, tmp_path).started == [], "who asks for no retry gets none"
    done.store.set_aside(done.records[0])
    small_run(recipe, tmp_path)
    assert not done.store.targets_path.exists()


def failing(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a fault on purpose")


def fail_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AlignmentLoss, "__call__", failing)


def fail_in_storing(monkeypatch: pytest.MonkeyPatch) -> None:
    for trained in (Adapted, TrainedLora):

        def save(self: Any, to: Path, save: Callable[..., None] = trained.save) -> None:
            (failing if self.history[0].loss == "alignment" else save)(self, to)

        monkeypatch.setattr(trained, "save", save)


def fail_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = Evaluator.evaluate
    monkeypatch.setattr(
        Evaluator,
        "evaluate",
        lambda self, cell, model: (failing if "ia2" in cell.method else evaluate)(self, cell, model),
    )


def two_seeds(protocol: str) -> Recipe:
    """`soft_sft` runs after the alignment: an adapter left on the base would show."""
    dtype = "bfloat16" if protocol == "paper" else "float32"
    base = {"model": "embedded", "dtype": dtype}
    return small_recipe(
        protocol=protocol, base=base, seeds=[0, 1], methods=(*ALL_METHODS[1:], "soft_sft"), epochs=2, limit=4
    )


@pytest.fixture(scope="module", params=["strict", "paper"])
def clean_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return small_run(two_seeds(request.param), tmp_path_factory.mktemp("clean"))


@pytest.mark.parametrize("fault", [fail_in_training, fail_in_storing, fail_in_evaluation])
def test_a_cell_that_fails_is_recorded_and_harms_no_other(
    fault: Callable[[pytest.MonkeyPatch], None], clean_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases: list[BaseModel] = []

    def capture(*arguments: Any) -> BaseModel:
        bases.append(load(*arguments))
        return bases[-1]

    monkeypatch.setattr(run_module, "load", capture)
    fault(monkeypatch)
    recipe = two_seeds(clean_run.records[0].cell.protocol)
    run = small_run(recipe, tmp_path)
    failed = [r for r in run.records if r.status == "failed"]
    assert [(r.cell.method, r.cell.seed) for r in failed] == [(m, s) for m in ("ia2", "ia2_sft") for s in (0, 1)]
    for record in failed:
        assert record.error and "Traceback" in record.error and "a fault on purpose" in record.error
        assert record.evaluations == () and record.training is None
        assert run.store.record(record.key) == record
    expected = results(clean_run.records)
    for key, result in results(run.records).items():
        assert result[0] == "failed" or result == expected[key]
    (base,) = bases
    assert not hasattr(base.model, "peft_config")
    fresh, state = load(locate(recipe.base), "cpu").model.state_dict(), base.model.state_dict()
    assert state.keys() == fresh.keys()
    assert all(torch.equal(state[name], fresh[name]) for name in fresh)
    monkeypatch.undo()
    for record in failed:
        run.store.set_aside(record)
    retried = small_run(recipe, tmp_path)
    assert [cell.key for cell in retried.started] == [record.key for record in failed]
    assert results(retried.records) == expected


def test_the_published_protocol_evaluates_merged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    merged: dict[str, set[bool]] = {}
    evaluate = Evaluator.evaluate

    def look(self: Evaluator, cell: Cell, model: Any) -> Any:
        layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
        merged[f"{cell.protocol} {cell.method}"] = {layer.merged for layer in layers}
        return evaluate(self, cell, model)

    monkeypatch.setattr(Evaluator, "evaluate", look)
    for protocol in ("strict", "paper"):
        small_run(small_recipe(protocol=protocol, methods=["icl", "sft"], epochs=1, limit=1), tmp_path)
    assert merged == {"strict icl": set(), "strict sft": {False}, "paper icl": set(), "paper sft": {True}}


def test_training_and_evaluating_leave_the_base_as_it_was_when_they_are_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases: list[BaseModel] = []

    def capture(*arguments: Any) -> BaseModel:
        bases.append(load(*arguments))
        return bases[-1]

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "load", capture)
    recipes = [
        small_recipe(methods=["sft"], epochs=1, learning_rates=[], adapters=[{"type": kind, "learning_rates": [1e-2]}])
        for kind in ADAPTER_TYPES
    ]
    for owner, step in ((Adapted, "save"), (Evaluator, "evaluate")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, interrupted)
            for recipe in recipes:
                with pytest.raises(KeyboardInterrupt):
                    small_run(recipe, tmp_path)
    assert len(bases) == 2 * len(ADAPTER_TYPES)
    fresh = load(locate(recipes[0].base), "cpu").model.state_dict()
    for base in bases:
        assert not hasattr(base.model, "peft_config")
        assert all(type(module).__module__.split(".")[0] != "peft" for module in base.model.modules())
        state = base.model.state_dict()
        assert state.keys() == fresh.keys() and all(torch.equal(state[name], fresh[name]) for name in fresh)


def test_a_method_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README says: with its phases in METHODS a method can be planned, run, recorded and shown."""
    from ia2_training import METHODS, CrossEntropyLoss
    from ia2_training.methods import Definition

    from ia2_eval.leaderboard.build import build

    monkeypatch.setitem(METHODS, "sft_self", Definition(lambda method: CrossEntropyLoss("teacher"), continues="sft"))
    done = small_run(small_recipe(methods=["sft", "sft_self"]), tmp_path)
    sft, sft_self = done.records
    assert sft.training and sft_self.training
    assert [phase.loss for phase in sft_self.training.phases] == ["cross_entropy", "cross_entropy"]
    assert sft_self.training.phases[0] == sft.training.phases[0]  # it continues the sft adapter
    board = build(tmp_path)
    assert {row.method for row in board.rows} == {"sft", "sft_self"}
    assert not board.incomplete


def test_activations_on_disk_and_small_batches_change_nothing_but_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = []
    adapt = ia2_training.adapt

    def spy(*arguments: Any, targets: TeacherTargets, **settings: Any) -> Adapted:
        sources.append(type(targets.train[0].source))
        return adapt(*arguments, targets=targets, **settings)

    monkeypatch.setattr(ia2_training, "adapt", spy)
    recipe = small_recipe(methods=["ia2"])
    (plain,) = small_run(recipe, tmp_path / "plain").records
    (on_disk,) = small_run(recipe, tmp_path / "disk", activations_on_disk=True).records
    assert sources == [torch.Tensor, StoredTensor]
    assert plain.training and on_disk.training == plain.training
    for name in ("micro_batch_size", "gradient_checkpointing"):
        (other,) = small_run(recipe, tmp_path / name, **{name: 1}).records
        assert other.training
        assert other.training.phases[0].dev_loss == pytest.approx(plain.training.phases[0].dev_loss, rel=1e-5)


def test_the_plan_says_what_a_complete_run_has(tmp_path: Path) -> None:
    from ia2_eval.leaderboard.build import build

    done = small_run(small_recipe(methods=["icl", "sft"], seeds=[0, 1]), tmp_path)
    assert not build(tmp_path).incomplete
    done.store.record_path(done.records[-1].key).unlink()
    board = build(tmp_path)
    assert board.incomplete
    assert any("SFT" in note and "1 of 2" in note for note in board.notes)
    (row,) = [r for r in board.rows if (r.method, r.metric, r.selection) == ("sft", "acc", "dev")]
    assert (row.seeds, row.seeds_expected, row.complete) == (1, 2, False)


def test_local_data_are_noted_in_the_record(ood_run: SmallRun) -> None:
    notes = {e.eval: e.notes for e in ood_run.records[0].evaluations}
    assert any("examples" in note for note in notes["sst2"])


def test_the_noise_floor_stands_beside_the_calibration_error(strict_run: SmallRun) -> None:
    for record in strict_run.records:
        for evaluation in record.evaluations:
            assert ("ece" in evaluation.metrics) == ("ece_noise_floor" in evaluation.metrics)


def test_a_prompt_that_does_not_fit_fails_its_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ia2_eval.lm.ia2_hf import IA2HF

    monkeypatch.setattr(IA2HF, "max_length", property(lambda self: 20))
    (record,) = small_run(small_recipe(methods=["icl"]), tmp_path).records
    assert record.status == "failed"
    assert "do not fit into the model's 20" in str(record.error)
