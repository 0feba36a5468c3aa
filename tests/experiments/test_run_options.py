"""What the options of `ia2-eval run` do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ia2_eval import cli
from ia2_eval.experiments import session
from ia2_eval.experiments.settings import Settings


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
    received: list[Any] = []

    def run_recipe(*arguments: Any) -> int:
        received.extend(arguments)
        return 0

    monkeypatch.setattr(session, "run_recipe", run_recipe)
    monkeypatch.setattr(sys, "argv", ["ia2-eval", "run", "demo", "--out", "out", *options.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert received[:2] == [Path("demo"), Path("out")]
    assert received[3] == expected
    assert Settings().adapters_per_pass == 15
