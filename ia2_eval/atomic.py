"""Files that are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes, scratch: Path | None = None) -> Path:
    """Writes to a temporary name, then renames: a reader never sees half a file.

    Args:
        path: what to write; folders are made.
        content: of the file.
        scratch: a folder of this process on the same file system, for the temporary name; None: beside the file.
    """
    folder = scratch or path.parent
    for needed in (path.parent, folder):
        needed.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
