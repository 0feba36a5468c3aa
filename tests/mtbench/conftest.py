from __future__ import annotations

from pathlib import Path

import pytest

from ia2_eval.mtbench.bench import Bench, load_bench
from ia2_eval.mtbench.generation.models import ModelSettings, OpenModel, open_model

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data, which are no part of the project."""
    directory = SHARED / "data"
    if not directory.is_dir():
        pytest.skip("the real data are not beside the project")
    return directory


@pytest.fixture(scope="session")
def trial_bench() -> Bench:
    return load_bench("trial")


@pytest.fixture(scope="session")
def embedded_model() -> OpenModel:
    return open_model(ModelSettings(), device="cpu", batch_size=4)
