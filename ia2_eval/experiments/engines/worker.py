"""A worker as a process of its own: `python -m ia2_eval.experiments.engines.worker`, with a sweep on standard input.

It lives as long as its standard input is open: when the driver ends, however it ends, its workers end.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from ia2_eval.commands import quieten
from ia2_eval.errors import UserError
from ia2_eval.experiments.engines.local import ERROR, INDENT
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.faults import DeviceLostError
from ia2_eval.experiments.interruption import remembered
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.ownership.processes import Presence
from ia2_eval.experiments.ownership.workplace import Workplace, working_in
from ia2_eval.experiments.progress import Progress, pass_label
from ia2_eval.experiments.run import work_here
from ia2_eval.experiments.store import Store
from ia2_eval.lm.base_model import locate

GRACE = 5.0
"""Seconds between the end of the driver and that of its worker, at most."""
LOST = 75
"""Exit status of a worker that is of no more use, and in whose place another may do well."""


def be_worker(sweep: Sweep, bound_to_input: bool = False) -> None:
    """Work on a sweep until all of its cells are settled.

    Args:
        sweep: what to run.
        bound_to_input: end within `GRACE` when standard input is closed.

    Raises:
        UserError: this machine lacks something: the directory of the run, the model, the data, the device.
    """
    quieten()
    store = Store(sweep.out)
    if not (sweep.out / "plan.json").is_file():
        raise UserError(
            f"{socket.gethostname()} does not see the plan in --out {str(sweep.out)!r}: give a directory on a file "
            "system that all machines share"
        )
    with working_as(store, bound_to_input) as place:
        progress = _spoken()
        ledger = Ledger(store, [cell.key for cell in sweep.cells], progress.damaged)
        work_here(sweep.cells, locate(sweep.base), place, sweep.settings, progress, ledger, sweep.workers)


@contextmanager
def working_as(store: Store, bound_to_input: bool) -> Iterator[Workplace]:
    """Be a worker in a run's directory within the context."""
    with remembered(), working_in(store, "worker") as place:
        if bound_to_input:
            threading.Thread(target=_end_with_driver, args=(place.presence,), daemon=True).start()
        yield place


def _end_with_driver(presence: Presence) -> None:
    sys.stdin.read()
    presence.doing("", ())  # the cells are not to blame
    main = threading.main_thread().ident
    assert main is not None
    # In order, with nothing left behind: the driver may be on another machine, where it cannot know who has ended.
    signal.pthread_kill(main, signal.SIGTERM)
    time.sleep(GRACE)
    presence.doing("", ())
    os._exit(LOST)


def _spoken() -> Progress:
    """Progress of which only what is out of the ordinary is said; the rest is in the heartbeat and in the records."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return Progress(
        training_started=lambda cells: None,
        training=lambda check: None,
        together_failed=lambda cells, error: say(
            f"training {pass_label(cells)} failed ({type(error).__name__}); now in two halves"
        ),
        cell_started=lambda cell: None,
        cell_finished=lambda record: None,
        damaged=lambda path, reason: say(f"set aside a damaged file as {path}: {reason}"),
        halved=lambda what, most: say(f"out of memory: now {most} at once in {what}"),
    )


def _import_what_cells_need() -> None:
    """Seconds of imports, which pass while the driver plans."""
    for module in ("ia2_training", "lm_eval.evaluator", "netcal.metrics", "ia2_eval.lm.ia2_hf"):
        import_module(module)


def main() -> None:
    os.environ.setdefault("TQDM_DISABLE", "1")
    atexit.register(gc.freeze)  # a second that the interpreter would spend on what ends with it
    _import_what_cells_need()
    sweep = sys.stdin.readline()
    if not sweep:
        return  # the driver found nothing to do, or something to complain of
    try:
        be_worker(Sweep.model_validate_json(sweep), bound_to_input=True)
    except UserError as error:
        print(ERROR + str(error).replace("\n", f"\n{INDENT}"), file=sys.stderr)
        sys.exit(2)
    except DeviceLostError as error:
        print(error, file=sys.stderr)
        sys.exit(LOST)
    except KeyboardInterrupt:
        sys.exit(LOST)


if __name__ == "__main__":
    main()
