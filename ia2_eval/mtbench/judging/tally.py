"""Counts of a run of the judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What has happened so far."""

    judged: int = 0
    failed: int = 0
    from_cache: int = 0
    """Rows that needed no request."""
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    served_by: set[str] = field(default_factory=set)
    trouble: str = ""
    """What there is to say of the endpoint, such as its latest fault."""
    shown: bool = False
    """Whether somebody sees the trouble at once, on a terminal."""
    changed: Callable[[], None] = lambda: None
