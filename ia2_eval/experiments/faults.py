"""What an exception means for a run: whose fault it is, and what it is called."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ia2_eval.errors import UserError

Kind = Literal["memory", "storage", "device", "network", "other"]

NO_CELLS = ("storage", "device")
"""Faults that are no cell's: the next one would meet them too."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if os.name == "posix" else {errno.ENOSPC, errno.EFBIG}
UNWRITABLE = {errno.EROFS, errno.EIO, *([errno.ESTALE] if hasattr(errno, "ESTALE") else [])}
"""Read-only, a broken disk, and a server of files that has forgotten this one."""
DENIED = {errno.EACCES, errno.EPERM}
"""Of files only: a firewall that forbids a connection says the same."""

MEMORY_TEXTS = re.compile(
    "out of memory|DefaultCPUAllocator: (?:can't allocate|not enough) memory|PT_DEVMEM Allocation failed"
    "|CUDNN_STATUS_NOT_SUPPORTED|(?:CUDNN|CUBLAS)_STATUS_ALLOC_FAILED"
)
"""Those that `accelerate.utils.memory.should_reduce_batch_size` heeds, and what CUDA and its libraries say besides."""
DEVICE_TEXTS = re.compile(
    r"\b(?:CUDA|HIP|XPU)(?: driver)? error\b|device-side assert|CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)"
)
STORAGE_TEXTS = re.compile(r"PytorchStreamWriter failed writing|inline_container\.cc.* unexpected pos")
"""What `torch.save` says where the disk is full."""
RUST_ERRNO = re.compile(r"\(os error (\d+)\)")
"""safetensors and tokenizers give the number of a failed system call in their text only."""
RUST_PATH = re.compile(r'at path "([^"]+)"')

CONNECTIONS = {
    "gaierror": "socket",
    "IncompleteRead": "http",
    "HTTPError": "urllib3",  # of everything that urllib3 raises
    "ConnectionError": "requests",
    "Timeout": "requests",
    "ChunkedEncodingError": "requests",
    "TransportError": "httpx",  # httpx2 too
    "ClientConnectionError": "aiohttp",
}
"""Exceptions of a connection by name, and the package that they are of: none needs to be imported to know them."""
WORTH_ANOTHER_TRY = {408, 429}
"""Statuses of HTTP, besides 5xx."""

VARYING = re.compile(
    r"0x[0-9a-fA-F]+"
    r"|\b[0-9a-f]{12,}\b"  # keys and other digests
    r"|\d[\d.,]*\s?(?:bytes|[KMGT]i?B)\b"
    r"|\d+(?:\.\d+)+"
    r"|\d{4,}"
)
LONGEST_CAUSE = 200
"""Characters."""


class DeviceLostError(Exception):
    """The device serves this process no longer; a new process may have no trouble."""


def kind_of(error: BaseException) -> Kind:
    """What kind of trouble an exception tells of, or those that it was raised from."""
    return _telling(error)[0]


def cause(error: BaseException) -> str:
    """One line that is the same for the same trouble: type and first line, without addresses, sizes and digests."""
    _, telling = _telling(error)
    first = (str(telling).strip().splitlines() or [""])[0]
    if kind_of(telling) == "memory":
        first = first.partition(". ")[0]  # what follows counts bytes
    said = storable(f"{type(telling).__name__}: {VARYING.sub('…', first)}".removesuffix(": ").removesuffix("."))
    return said if len(said) <= LONGEST_CAUSE else said[: LONGEST_CAUSE - 1] + "…"


def storable(text: str) -> str:
    """A text that UTF-8 can hold: the name of a file may have bytes that stand for no character."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def no_cells_faults(directory: Path) -> Iterator[None]:
    """Put exceptions that no cell is to blame for into words of their own.

    Args:
        directory: where a run writes, named where the exception names no file.

    Raises:
        UserError: it cannot be written there, or a file not be read.
        DeviceLostError: the process cannot use its device any longer.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kind, telling = _telling(error)
        if kind == "device":
            raise DeviceLostError(f"this process cannot use its device any longer: {cause(error)}") from error
        if kind == "storage":
            raise UserError(_storage_fault(telling, directory)) from error
        raise


def _storage_fault(error: BaseException, directory: Path) -> str:
    number = _errno(error)
    named = RUST_PATH.search(str(error))
    place = named[1] if named else getattr(error, "filename", None)
    reason = os.strerror(number) if number else "cannot be written"
    full = number is None or number in FULL
    return (
        f"{place or directory}: {reason}. {'Free some space' if full else 'Make it readable and writable'}, and the "
        "same command continues; or give another directory (--out, --targets-dir). No cell counts as failed for it."
    )


def _telling(error: BaseException) -> tuple[Kind, BaseException]:
    """The outermost exception whose kind is known, or the one given."""
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        kind = _own_kind(inner)
        if kind != "other":
            return kind, inner
        seen.add(id(inner))
        inner = inner.__cause__ or (None if inner.__suppress_context__ else inner.__context__)
    return "other", error


def _own_kind(error: BaseException) -> Kind:
    text, number = str(error), _errno(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, MemoryError) or "OutOfMemoryError" in names or number == errno.ENOMEM:
        return "memory"
    if isinstance(error, RuntimeError):
        if MEMORY_TEXTS.search(text):
            return "memory"
        if "AcceleratorError" in names or DEVICE_TEXTS.search(text):
            return "device"
        if STORAGE_TEXTS.search(text):
            return "storage"
    if _is_of_the_network(error):
        return "network"
    if number in FULL | UNWRITABLE or (number in DENIED and getattr(error, "filename", "") is not None):
        return "storage"
    return "other"


def _errno(error: BaseException) -> int | None:
    """The number of the system call's failure; None of other exceptions."""
    if isinstance(error, OSError):
        return error.errno
    found = RUST_ERRNO.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None


def _is_of_the_network(error: BaseException) -> bool:
    kinds = type(error).__mro__
    if any(kind.__name__ == "OfflineModeIsEnabled" for kind in kinds):  # asked for, so it will not pass
        return False
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status >= 500 or status in WORTH_ANOTHER_TRY
    return any(
        name in CONNECTIONS and kind.__module__.partition(".")[0].startswith(CONNECTIONS[name])
        for kind in kinds
        for name in [kind.__name__]
    )
