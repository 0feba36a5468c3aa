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
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.atomic import write_atomically
from ia2_eval.leaderboard.style import RC_PARAMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160
"""Of PNG."""
MOST_PROCESSES = 8
"""All are started at once; a board has a dozen or two of figures."""


class Drawing(NamedTuple):
    """A figure that is still to be drawn."""

    draw: Callable[[], Figure]
    stem: Path
    """Of its files, which are `stem.png` and `stem.svg`."""


def write_figure(draw: Callable[[], Figure], stem: Path) -> list[Path]:
    """Draws a figure in the house style and writes `stem.png` and `stem.svg`, whose bytes depend on the figure only."""
    import matplotlib
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(RC_PARAMS):
        figure = draw()
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        if figure.get_layout_engine() is not None:
            figure.set_layout_engine("none")  # the layout is done: once, not for each format
        # Opaque: a channel less to compress, and no reader's dark ground shows through.
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        Image.fromarray(pixels).save(png, "png", dpi=(DPI, DPI))
        figure.savefig(svg, format="svg", metadata={"Date": None})
    pictures = {".png": png, ".svg": svg}
    return [
        write_atomically(stem.parent / (stem.name + suffix), picture.getvalue()) for suffix, picture in pictures.items()
    ]


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

    drawings, made = iter(drawings), []
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), initializer=_begin_worker)
    try:
        pending = []
        for drawing in drawings:
            made.append(drawing)
            pending.append(pool.submit(write_figure, *drawing))
        return [path for future in pending for path in future.result()]
    except BrokenProcessPool:  # the system ended one, perhaps as memory is short: this process can do it alone
        return [path for drawing in (*made, *drawings) for path in write_figure(*drawing)]
    finally:
        pool.shutdown(cancel_futures=True)


def _processes() -> int:
    # A fork has one thread only and may wait forever for a lock that another one held. Beside threads of Python, those
    # of torch are such; `ia2-eval leaderboard` never imports it.
    if not sys.platform.startswith("linux") or threading.active_count() > 1 or "torch" in sys.modules:
        return 1
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    gc.freeze()  # no garbage collection looks at what was there before the fork
