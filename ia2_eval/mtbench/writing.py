"""Writes files so that a run that cannot go on has lost nothing, and says why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ia2_eval.errors import UserError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """
    Raises:
        UserError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; what was there before is kept: mend it, then run the same command"
        ) from error


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file; all of it, or nothing that a later line could run into.

    Raises:
        UserError: the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(line)
        except OSError:
            with suppress(OSError):
                os.truncate(path, size)
            raise
