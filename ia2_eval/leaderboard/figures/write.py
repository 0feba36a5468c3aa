"""How figures are written: in the house style, the same bytes for the same figure, several at a time."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.atomic import write_atomically
from ia2_eval.leaderboard.style import RC_PARAMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160
"""Of PNG."""


class Drawing(NamedTuple):
    """A figure that is still to be drawn."""

    draw: Callable[[], Figure]
    stem: Path
    """Of its files, which are `stem.png` and `stem.svg`."""


def write_figure(draw: Callable[[], Figure], stem: Path) -> list[Path]:
    """Draws a figure in the house style and writes `stem.png` and `stem.svg`, whose bytes depend on the figure only."""
    import matplotlib

    paths = []
    with matplotlib.rc_context(RC_PARAMS):
        figure = draw()
        if figure.get_layout_engine() is not None:
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # the layout is done: once, not for each format
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            picture = io.BytesIO()
            figure.savefig(picture, format=suffix[1:], dpi=DPI, metadata=metadata)
            paths.append(write_atomically(stem.parent / (stem.name + suffix), picture.getvalue()))
    return paths


def write_figures(drawings: Iterable[Drawing], processes: int | None = None) -> list[Path]:
    """Writes figures as `write_figure` does, in processes of their own while the next ones are being made ready.

    Args:
        drawings: what they take must be picklable where there are several processes.
        processes: by default one for each core where processes can be forked safely, else this one only.

    Raises:
        Exception: of the first figure that cannot be drawn or written.
    """
    processes = _processes() if processes is None else processes
    if processes < 2:
        return [path for drawing in drawings for path in write_figure(*drawing)]
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401  (once, before the processes are forked)

    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), initializer=_begin_worker)
    try:
        pending = [pool.submit(write_figure, *drawing) for drawing in drawings]
        return [path for future in pending for path in future.result()]
    finally:
        pool.shutdown(cancel_futures=True)


def _processes() -> int:
    # A fork has one thread only and may wait forever for a lock that another one held. Beside threads of Python, those
    # of torch are such; `ia2-eval leaderboard` never imports it.
    if not sys.platform.startswith("linux") or threading.active_count() > 1 or "torch" in sys.modules:
        return 1
    return len(os.sched_getaffinity(0))


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    gc.freeze()  # no garbage collection looks at what was there before the fork
