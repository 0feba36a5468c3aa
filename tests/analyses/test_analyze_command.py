from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ia2_eval.analyses.similarity import SimilaritySettings
from ia2_eval.cli import app


@pytest.mark.parametrize(
    ("flags", "modes"),
    [
        ([], ()),
        (["--teacher-forced"], ("teacher_forced",)),
        (["--free-running"], ("free_running",)),
        (["--free-running", "--teacher-forced"], ("teacher_forced", "free_running")),
    ],
)
def test_every_option_reaches_the_analysis(
    flags: list[str], modes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(
        "ia2_eval.analyses.commands.analyze_similarity", lambda *arguments: given.extend(arguments) or 1
    )
    options = "--out there --limit 7 --ood --base moved --data-dir rows --device cpu --batch-size 3".split()
    assert CliRunner().invoke(app, ["analyze", "similarity", "run", *options, *flags]).exit_code == 1
    assert given[:2] == [Path("run"), Path("there")]
    assert given[2] == SimilaritySettings(7, modes, True, "moved", Path("rows"), "cpu", 3)  # type: ignore[arg-type]


def test_overlap_takes_a_directory_and_gives_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ia2_eval.analyses.commands.analyze_overlap", lambda run, out, _: 0 if (run, out) == (Path("run"), None) else 9
    )
    assert CliRunner().invoke(app, ["analyze", "overlap", "run"]).exit_code == 0
