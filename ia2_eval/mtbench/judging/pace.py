"""When the next request may go out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


class Pace:
    """Requests at even distances, at most so many per minute; None: at once."""

    def __init__(self, per_minute: int | None) -> None:
        self._distance = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Waits until a request may go out."""
        while (left := self._next - time.monotonic()) > 0:
            await asyncio.sleep(left)
        self._next = max(self._next, time.monotonic()) + self._distance

    def pause(self, seconds: float) -> None:
        """No request goes out for so long: the endpoint is asked too much, not by one request alone."""
        self._next = max(self._next, time.monotonic() + seconds)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that an endpoint asks to wait (RFC 9110, 10.2.3: a number or a date); 0 where it does not say."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if seconds >= 0:  # not NaN
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=timezone.utc)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
