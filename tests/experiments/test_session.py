"""A run as a command carries it out, where files fail it or another driver is at work."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments import session
from ia2_eval.experiments.cost import estimate
from ia2_eval.experiments.engines.choice import EngineChoice
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import locate
from tests.experiments.fake_passes import record_of
from tests.experiments.small_runs import planned, small_recipe

RECIPE = small_recipe(methods=["no_icl", "icl"], limit=2)
CELLS = planned(RECIPE, locate(RECIPE.base).base)
CPU = Settings(device="cpu")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json")), encoding="utf-8")
    return path


def run_to(out: Path, recipe: Path, **more: Any) -> int:
    return session.run_recipe(recipe, out, session.Overrides(), CPU, Console(file=io.StringIO()), **more)


@pytest.mark.parametrize(("kind", "method"), [(Store, "record"), (Ledger, "refresh")])
def test_files_that_cannot_be_read_end_a_run_in_words(
    kind: type, method: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> None:
        raise OSError(errno.EIO, "Input/output error", "a record")

    monkeypatch.setattr(kind, method, fails)
    with pytest.raises(UserError, match=r"^a record: Input/output error\. Make it readable"):
        run_to(tmp_path / "out", recipe)
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize("meanwhile", ["done", "set aside"])
def test_what_another_driver_did_to_a_failed_cell_stays(
    meanwhile: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "out")
    done = record_of(CELLS[0])
    for record in (record_of(CELLS[0], failed=True), record_of(CELLS[1])):
        store.write_record(record)
    write_plan = Store.write_plan

    def others(store: Store, cells: list[Any]) -> None:
        write_plan(store, cells)
        record: Record | None = store.record(CELLS[0].key)
        if record and record.status == "failed":
            store.set_aside(record)
            if meanwhile == "done":
                store.write_record(done)

    monkeypatch.setattr(Store, "write_plan", others)
    assert run_to(store.directory, recipe, retry_failed=True) == 0
    record = store.record(CELLS[0].key)
    assert record and (record == done) == (meanwhile == "done")
    assert len(list(store.directory.glob("failed/*"))) == 1 and not store.work_path.exists()


def test_a_dry_run_takes_no_engine_that_there_is_not(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "estimate", lambda *arguments: pytest.fail("it was estimated"))
    with pytest.raises(UserError, match=r"^--engine is 'rey'\. Did you mean 'ray'"):
        session.dry_run(recipe, tmp_path, session.Overrides(), CPU, Console(file=io.StringIO()), EngineChoice("rey"))
