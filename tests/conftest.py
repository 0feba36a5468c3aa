from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.benchmarks.hub_rows import write_hub_rows


@pytest.fixture(scope="session")
def hub_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local data directory with invented rows in the hub's columns."""
    return write_hub_rows(tmp_path_factory.mktemp("hub_rows"))


def heed_interrupts() -> None:
    """For `preexec_fn`: what a shell starts in the background ignores Ctrl-C, and so do the children of that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
