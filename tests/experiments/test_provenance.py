from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ia2_eval.experiments.provenance import git_state, peak_memory, provenance, versions


def test_provenance() -> None:
    found = provenance("cpu", 1.23456)
    assert found.created.endswith("+00:00")
    assert found.wall_seconds == 1.235
    assert found.versions == versions()
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"ia2-eval", "torch", "lm_eval", "peft", "transformers"} <= set(found.versions)


def test_the_peak_is_that_of_training_or_evaluation() -> None:
    now = peak_memory("cpu")
    assert now is not None
    assert provenance("cpu", 1.0, earlier_peak=2**50).peak_memory_bytes == 2**50
    before = provenance("cpu", 1.0, earlier_peak=1).peak_memory_bytes
    assert before is not None and before >= now


def test_peak_memory_is_in_bytes() -> None:
    peak = peak_memory("cpu")
    assert peak is not None and 2**24 < peak < 2**40


def test_peak_memory_is_unknown_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as if there were no such module
    assert peak_memory("cpu") is None


def test_the_commit_is_that_of_the_checkout() -> None:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    commit, dirty = git_state()
    assert commit == head.stdout.strip()
    assert dirty in (True, False)
