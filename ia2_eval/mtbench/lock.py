"""One run at a time in a directory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ia2_eval.errors import UserError

logger = logging.getLogger(__name__)


@contextmanager
def sole_run(directory: Path, advice: str = "wait for it, or give this one an --out of its own") -> Iterator[None]:
    """Within the context no other process may run in the directory; whatever ends the process ends that too.

    Args:
        directory: of the run.
        advice: what to do while another process is there, for the message.

    Raises:
        UserError: another process is running in it, or it cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(directory / ".lock", timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(f"another run is going on in {str(directory)!r}: {advice}") from None
    except OSError as error:
        raise UserError(f"cannot write to {str(directory)!r}: {error}") from error
    except NotImplementedError:
        logger.warning("The file system of %s has no locks: see to it that no other run goes on there.", directory)
        yield
        return
    try:
        yield
    finally:
        lock.release()
