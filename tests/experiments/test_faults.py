"""What exceptions mean."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import requests
import torch
from accelerate.utils.memory import should_reduce_batch_size
from huggingface_hub.errors import OfflineModeIsEnabled
from safetensors import SafetensorError

from ia2_eval.errors import UserError
from ia2_eval.experiments.faults import DeviceLostError, Kind, cause, kind_of, no_cells_faults

CUDA_OOM = (
    "CUDA out of memory. Tried to allocate {0}.00 MiB. GPU 0 has a total capacity of 139.81 GiB of which {0}.06 MiB is "
    "free. Process 1{0}2 has 99.99 GiB memory in use."
)
FULL_DISK = "Error while serializing: I/O error: No space left on device (os error 28)"
FORGOTTEN = 'Error while serializing: I/O error: Read-only file system (os error 30) at path "/out/.tmpZC64hT"'


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} for url", response=response)


class TransportError(Exception):
    """As httpx has it."""


TransportError.__module__ = "httpx._exceptions"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("memory", torch.OutOfMemoryError(CUDA_OOM.format(2))),
        ("memory", MemoryError()),
        ("memory", OSError(errno.ENOMEM, "Cannot allocate memory")),
        ("memory", RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")),
        ("memory", torch.AcceleratorError("CUDA error: out of memory")),
        ("memory", RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
        ("memory", RuntimeError("[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: not enough memory: you")),
        ("device", torch.AcceleratorError("CUDA error: an illegal memory access was encountered")),
        ("device", RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors")),
        ("device", RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")),
        ("storage", OSError(errno.ENOSPC, "No space left on device")),
        ("storage", OSError(errno.EDQUOT, "Disk quota exceeded", "/out/records/a.json")),
        ("storage", OSError(errno.EROFS, "Read-only file system")),
        ("storage", OSError(errno.EIO, "Input/output error")),
        ("storage", OSError(errno.ESTALE, "Stale file handle")),
        ("storage", PermissionError(errno.EACCES, "Permission denied", "/out/records")),
        ("storage", SafetensorError(FULL_DISK)),
        ("storage", SafetensorError(FORGOTTEN)),
        ("storage", RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")),
        ("network", ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")),
        ("network", TimeoutError()),
        ("network", requests.ConnectionError("no route")),
        ("network", requests.ReadTimeout("slow")),
        ("network", TransportError("closed")),
        ("network", answered(503)),
        ("network", answered(429)),
        ("other", answered(404)),
        ("other", OfflineModeIsEnabled("offline")),
        ("other", PermissionError(errno.EACCES, "Permission denied")),  # of a connection
        ("other", FileNotFoundError(errno.ENOENT, "No such file or directory", "/data")),
        ("other", SafetensorError("Error while deserializing header: invalid header")),
        ("other", RuntimeError("shape '[4, 8]' is invalid for input of size 24")),
        ("other", ValueError("out of memory is what this text is about")),
    ],
    ids=str,
)
def test_kinds(kind: Kind, error: Exception) -> None:
    assert kind_of(error) == kind
    try:
        try:
            raise error
        except Exception as inner:
            raise ValueError("as a library puts it") from inner
    except ValueError as outer:
        assert kind_of(outer) == kind


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried",
        "MPS backend out of memory (MPS allocated",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED.",
        "DefaultCPUAllocator: can't allocate memory: you tried",
        "FATAL ERROR :: MODULE:PT_DEVMEM Allocation failed",
    ],
)
def test_memory_is_what_accelerate_takes_for_it(text: str) -> None:
    assert should_reduce_batch_size(RuntimeError(text))
    assert kind_of(RuntimeError(text)) == "memory"


def test_what_an_exception_was_raised_from() -> None:
    try:
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            raise ValueError("while that was handled")  # noqa: B904
    except ValueError as error:
        assert kind_of(error) == "network"
        error.__suppress_context__ = True  # `from None`
        assert kind_of(error) == "other"
        error.__cause__ = KeyError()
        error.__cause__.__cause__ = error  # a ring
        assert kind_of(error) == "other"


def test_causes_are_the_same_for_the_same_trouble() -> None:
    assert cause(torch.OutOfMemoryError(CUDA_OOM.format(2))) == "OutOfMemoryError: CUDA out of memory"
    assert cause(torch.OutOfMemoryError(CUDA_OOM.format(45))) == cause(torch.OutOfMemoryError(CUDA_OOM.format(2)))
    assert cause(ValueError(f"{object()} has 8192 rows in adapters/{'0f' * 20}\nand more")) == (
        "ValueError: <object object at …> has … rows in adapters/…"
    )
    assert cause(RuntimeError("tried 5 kB, 17 bytes and 1.5 GiB at layer 12")) == (
        "RuntimeError: tried 5 kB, … and … at layer 12"
    )
    assert cause(KeyError()) == "KeyError"
    assert cause(answered(503)) == "HTTPError: 503 for url"
    assert len(cause(ValueError("x" * 1000))) == 200
    wrapped = RuntimeError("as a library puts it")
    wrapped.__cause__ = ConnectionError("no route")
    assert cause(wrapped) == "ConnectionError: no route"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x"), "out: No space left on device. Free some space, and the same command continues"),
        (OSError(errno.EROFS, "x", "a/b"), "a/b: Read-only file system. Make it readable and writable, and the same"),
        (SafetensorError(FORGOTTEN), "/out/.tmpZC64hT: Read-only file system. Make it readable and writable"),
    ],
)
def test_a_fault_of_storage_says_how_to_mend_it(error: Exception, said: str) -> None:
    with pytest.raises(UserError) as raised, no_cells_faults(Path("out")):
        raise error
    assert str(raised.value).startswith(said)
    assert raised.value.__cause__ is error


def test_other_exceptions_pass() -> None:
    said = UserError("as it is")
    said.__cause__ = OSError(errno.EROFS, "x")
    for error in (said, ValueError("bad"), ConnectionError("gone"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, no_cells_faults(Path("out")):
            raise error
        assert raised.value is error
    lost = "any longer: RuntimeError: CUDA error: unspecified launch failure"
    with pytest.raises(DeviceLostError, match=lost), no_cells_faults(Path("out")):
        raise RuntimeError("CUDA error: unspecified launch failure\nmore")


@pytest.mark.skipif(os.name != "posix", reason="other systems have other numbers")
def test_the_system_says_it_too(tmp_path: Path) -> None:
    """A full device, as far as there is one to try."""
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(UserError, match="No space left on device"), no_cells_faults(tmp_path):
        full.write_bytes(b"x" * 100_000)
