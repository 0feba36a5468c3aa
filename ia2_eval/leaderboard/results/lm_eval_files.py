"""Results that lm-eval wrote, as records."""

from __future__ import annotations

from pathlib import Path

from ia2_eval.leaderboard.results.read import Run


def is_lm_eval_directory(directory: Path) -> bool:
    """Whether lm-eval wrote its results here, or in folders here."""
    return any(directory.rglob("results_*.json"))


def read_lm_eval(directory: Path) -> Run:
    raise NotImplementedError
