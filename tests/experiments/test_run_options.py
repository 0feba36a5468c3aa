"""What the options of `ia2-eval run` do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ia2_eval import cli
from ia2_eval.experiments import session
from ia2_eval.experiments.engines.choice import EngineChoice
from ia2_eval.experiments.settings import Settings


def called(function: str, options: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments with which `ia2-eval run demo --out out` and these options calls a function of the session."""
    received: list[Any] = []

    def remember(*arguments: Any) -> int:
        received.extend(arguments)
        return 0

    monkeypatch.setattr(session, function, remember)
    monkeypatch.setattr(sys, "argv", ["ia2-eval", "run", "demo", "--out", "out", *options.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    return received


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", Settings()),
        (
            "--data-dir d --device cpu --batch-size 2 --micro-batch-size 3 --activations-on-disk --targets-dir t "
            "--adapters-per-pass 4 --gradient-checkpointing",
            Settings(Path("d"), "cpu", 2, 3, True, Path("t"), 4, True),
        ),
    ],
)
def test_options_reach_the_run(options: str, expected: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    received = called("run_recipe", options, monkeypatch)
    assert received[:2] == [Path("demo"), Path("out")]
    assert received[3] == expected
    assert Settings().adapters_per_pass == 15


@pytest.mark.parametrize(
    ("options", "expected", "retry"),
    [
        ("", EngineChoice(), False),
        ("--workers 2 --retry-failed", EngineChoice(workers=2), True),
        (
            "--engine ray --workers 3 --gpus-per-worker 2 --ray-address auto",
            EngineChoice("ray", 3, 2, "auto"),
            False,
        ),
    ],
)
def test_the_engine_that_is_asked_for_is_taken(
    options: str, expected: EngineChoice, retry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert called("run_recipe", options, monkeypatch)[5:] == [expected, retry]
    assert called("dry_run", f"{options} --dry-run", monkeypatch)[5:] == [expected]
