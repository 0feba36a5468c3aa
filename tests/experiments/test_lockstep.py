"""A run by two processes that have the base between them, as torchrun starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import Full
from ia2_eval.experiments.engines.choice import EngineChoice
from ia2_eval.experiments.lockstep import leading, leads, require_fit, tell, wait_for_followers
from ia2_eval.experiments.session import Overrides, run_recipe
from ia2_eval.experiments.settings import Settings
from tests.experiments.small_runs import EMBEDDED, SmallRun, planned, small_recipe, small_run

LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ia2_eval.cli")


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([*LAUNCH, *arguments], env=environment, capture_output=True, text=True, timeout=300)


def test_two_processes_run_what_one_does(tmp_path: Path) -> None:
    recipe = small_recipe(methods=["no_icl", "ia2_sft"], seeds=[0, 1], epochs=2, learning_rates=[1e-3], limit=4)
    alone: SmallRun = small_run(recipe, tmp_path / "alone")
    written = tmp_path / "recipe.yaml"
    written.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    out = tmp_path / "together"
    done = launch("run", str(written), "--out", str(out), "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("[1/3]") == 1  # one of them speaks
    records = {path.stem: json.loads(path.read_bytes()) for path in (out / "records").glob("*.json")}
    assert records.keys() == {record.key for record in alone.records}
    for record in alone.records:
        found = records[record.key]
        assert found["status"] == "ok"
        for evaluation, other in zip(record.evaluations, found["evaluations"], strict=True):
            for name, value in evaluation.metrics.items():
                assert other["metrics"][name] == pytest.approx(value, abs=1e-3), name
            assert len((out / other["samples"]).read_text().splitlines()) == other["n"]
        if record.cell.trained:
            mine, theirs = (
                load_file(run / "adapters" / record.key / "adapter_model.safetensors")
                for run in (tmp_path / "alone", out)
            )
            for name, weight in mine.items():
                torch.testing.assert_close(theirs[name], weight, rtol=0, atol=2e-4)  # steps of Adam are 1e-3
    assert not list(out.rglob("*.partial*")) and not (out / ".work").exists()


def test_one_process_leads_nobody() -> None:
    cells = planned(small_recipe(methods=["sft"], protocol="paper"), EMBEDDED)
    assert leads()
    require_fit(cells)
    with leading():
        tell(cells, {})
        wait_for_followers()


def test_what_needs_whole_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = planned(small_recipe(methods=["sft"]), EMBEDDED)
    monkeypatch.setattr("ia2_eval.experiments.lockstep.joined", lambda: True)
    require_fit([cell])
    with pytest.raises(UserError, match="merges adapters into whole weights"):
        require_fit([cell, cell.model_copy(update={"protocol": "paper"})])
    with pytest.raises(UserError, match=r"full fine-tuning \(`full`\)"):
        require_fit([cell, cell.model_copy(update={"adapter": Full()})])


def test_a_group_is_one_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in group.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ia2_eval.experiments.session.join", lambda device: device)
    monkeypatch.setattr("ia2_eval.experiments.engines.choice.cores", lambda: 4)
    with pytest.raises(UserError, match="2 processes were started, which are one worker: leave --workers out"):
        run_recipe(Path("demo"), tmp_path, Overrides(), Settings(device="cpu"), Console(), EngineChoice(workers=2))
