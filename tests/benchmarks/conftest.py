from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.hub_rows import write_hub_rows


@pytest.fixture(scope="session")
def hub_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local data directory with invented rows in the hub's columns."""
    return write_hub_rows(tmp_path_factory.mktemp("hub_rows"))


@pytest.fixture
def real_rows() -> Path:
    """The real rows beside the checkout, which may not be redistributed."""
    directory = Path(__file__).parents[3] / "shared" / "data"
    if not directory.is_dir():
        pytest.skip(f"real rows are not at {directory}")
    return directory
