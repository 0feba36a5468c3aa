"""Pictures of what `ia2-eval analyze` measured: subspace overlap and similarity to in-context learning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ANALYSIS = "analysis"
"""Folder of a run's directory that the analyses are written to, unless told otherwise."""


def analysis_pictures(directories: Sequence[Path]) -> list[Path]:
    """PNG files of the analyses of runs: by run in the order given, then by folder and name. Often there is none."""
    return [path for directory in directories for path in sorted((directory / ANALYSIS).rglob("*.png"))]
