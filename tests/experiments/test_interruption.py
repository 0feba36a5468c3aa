"""Ctrl-C and kill -9 lose at most the adapters that are being trained, or the running evaluation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.record import parse_record
from tests.conftest import heed_interrupts
from tests.experiments.small_runs import results, small_recipe, small_run

RECIPE = small_recipe(seeds=[0, 1], epochs=12)
CELLS = 1 + 2 * 4
PATIENCE = 120.0
"""Seconds."""


def records(out: Path) -> dict[str, bytes]:
    """The valid records so far; an invalid one fails the test."""
    paths = sorted((out / "records").glob("*.json"))
    for path in paths:
        assert parse_record(path.read_bytes(), path.stem).status == "ok"
    return {path.stem: path.read_bytes() for path in paths}


def interrupted_run(out: Path, by: signal.Signals, after: int) -> subprocess.CompletedProcess[str]:
    """`ia2-eval run`, sent a signal once `after` more records than now are there."""
    recipe = out.parent / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE.model_dump(mode="json")), encoding="utf-8")
    wanted = len(records(out)) + after
    command = [sys.executable, "-m", "ia2_eval.cli", "run", str(recipe), "--out", str(out), "--device", "cpu"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=heed_interrupts,
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while len(list(out.glob("records/*.json"))) < wanted:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(by)
        _, said = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(command, process.returncode, "", said)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed = interrupted_run(out, signal.SIGKILL, after=2)
    assert killed.returncode == -signal.SIGKILL
    first = records(out)
    assert 2 <= len(first) < CELLS

    ended = interrupted_run(out, signal.SIGTERM, after=1)  # as a cluster does before it takes a machine away
    assert ended.returncode == 130 and "the same command continues" in ended.stderr
    assert len(records(out)) < CELLS

    first = records(out)
    stopped = interrupted_run(out, signal.SIGINT, after=1)
    assert stopped.returncode == 130
    second = records(out)
    assert len(first) + 1 <= len(second) < CELLS
    assert f"interrupted: {len(second)} of {CELLS} cells are done; the same command continues" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert second.items() >= first.items()  # what was done stays as it is

    finished = small_run(RECIPE, out)
    assert len(finished.started) == CELLS - len(second)
    assert records(out).items() >= second.items()
    undisturbed = small_run(RECIPE, tmp_path / "undisturbed")
    assert results(finished.records) == results(undisturbed.records)
    left = {path.name for path in out.rglob("*")}
    assert not [name for name in left if name.startswith(".") or name.endswith((".tmp", ".damaged"))]


@pytest.mark.parametrize("becomes", [RuntimeError, None], ids=["an error", "nothing"])
def test_an_interrupt_that_a_library_swallows_still_ends_the_run(
    becomes: type[Exception] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate

    def interrupted(evaluator: Evaluator, *arguments: Any) -> Any:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(PATIENCE)
        except KeyboardInterrupt:
            if becomes:
                raise becomes("as a library puts it") from None
        return evaluate(evaluator, *arguments)

    monkeypatch.setattr(Evaluator, "evaluate", interrupted)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            small_run(RECIPE, tmp_path)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, usual)
    assert len(records(tmp_path)) == (0 if becomes else 1)
