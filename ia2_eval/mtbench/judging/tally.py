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
    """The latest fault that was got over, or not yet."""
    changed: Callable[[], None] = lambda: None
