from __future__ import annotations

from pathlib import Path

import pytest

from ia2_eval.benchmarks.load import _load_once
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


@pytest.fixture(autouse=True)
def nothing_loaded_yet() -> None:
    """Each test meets the hub (or what stands for it) anew."""
    _load_once.cache_clear()
