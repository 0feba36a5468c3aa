from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.hub_rows import write_hub_rows


@pytest.fixture(scope="session")
def hub_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local data directory with invented rows in the hub's columns."""
    return write_hub_rows(tmp_path_factory.mktemp("hub_rows"))
