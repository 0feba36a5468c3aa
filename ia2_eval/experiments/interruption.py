"""Ctrl-C and SIGTERM, remembered until the run can act on them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether Ctrl-C was pressed.

    A KeyboardInterrupt that is raised inside a library's callback may be swallowed there, or come out as an error of
    the library's own: the cell would go on, or count as failed, and the run with it.
    """

    pressed = False

    def check(self) -> None:
        """
        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, however little is left of the exception that it gave rise to.
        """
        if self.pressed:
            raise KeyboardInterrupt


@contextmanager
def remembered() -> Iterator[Interruption]:
    """Remember Ctrl-C within the context, besides raising KeyboardInterrupt as ever; SIGTERM, which a cluster sends
    before it takes a machine away, counts as Ctrl-C."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption  # signals are another thread's
        return
    usual = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: FrameType | None) -> None:
        interruption.pressed = True
        if not callable(usual):
            raise KeyboardInterrupt
        usual(signal.SIGINT, frame)

    heeded = [signal.SIGTERM, *([signal.SIGINT] if callable(usual) else [])]  # which a shell ignores in the background
    before = {number: signal.signal(number, remember) for number in heeded}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
