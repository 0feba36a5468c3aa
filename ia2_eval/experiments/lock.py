"""One run at a time in a directory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ia2_eval.errors import UserError

logger = logging.getLogger(__name__)


@contextmanager
def sole_run(directory: Path) -> Iterator[None]:
    """Within the context no other process may run in the directory; whatever ends the process ends that too.

    Raises:
        UserError: another process is running in it.
    """
    from filelock import FileLock, Timeout

    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another run is going on in {str(directory)!r}: wait for it, or give this one an --out of its own"
        ) from None
    except NotImplementedError:
        logger.warning("The file system of %s has no locks: see to it that no other run goes on there.", directory)
        yield
        return
    try:
        yield
    finally:
        lock.release()
