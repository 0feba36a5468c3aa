"""What the gate says of one thing that it looked at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Verdict = Literal["pass", "regression", "cannot tell"]

SEVERITY: tuple[Verdict, ...] = ("regression", "cannot tell", "pass")
"""Worst first: a regression outweighs what cannot be told."""

EXIT_STATUS: dict[Verdict, int] = {"pass": 0, "regression": 1, "cannot tell": 2}


class Check(NamedTuple):
    kind: str  # `base`, `stored adapter`, `retrained`, `training`, `scoring`, `results`
    name: str  # such as `Time N=8 IA2 → SFT`
    verdict: Verdict
    reason: str


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Where there was nothing to look at, it cannot be told."""
    return min(verdicts, key=SEVERITY.index, default="cannot tell")
