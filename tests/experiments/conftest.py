from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.small_runs import SAMPLED, SmallRun, small_recipe, small_run

BOTH = [{"source": "embedded_mood", "n": 4}, {"source": "embedded_arithmetic", "n": 4}]


@pytest.fixture(scope="session")
def strict_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """All methods on a single-token and a multi-token benchmark. Look, do not touch."""
    return small_run(small_recipe(benchmarks=BOTH), tmp_path_factory.mktemp("strict"))


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """The same under the published protocol, in bfloat16. Look, do not touch."""
    recipe = small_recipe(benchmarks=BOTH, protocol="paper", base={"model": "embedded", "dtype": "bfloat16"})
    return small_run(recipe, tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="session")
def calibrated_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """With temperature scaling and sampled answers, hot enough that they differ. Look, do not touch."""
    recipe = small_recipe(benchmarks=BOTH, methods=["no_icl", "icl", "sft"], temperature_scaling=True, **SAMPLED)
    return small_run(recipe, tmp_path_factory.mktemp("calibrated"))


@pytest.fixture(scope="session")
def ood_run(tmp_path_factory: pytest.TempPathFactory, hub_rows: Path) -> SmallRun:
    """From SST-2 to FinS and PoemS with invented rows; the model reads them byte by byte, at chance."""
    recipe = small_recipe(
        benchmarks=[{"source": "sst2", "n": 4}], seeds=[0, 1], methods=["no_icl", "icl", "ia2"], epochs=1, limit=4
    )
    return small_run(recipe, tmp_path_factory.mktemp("ood"), hub_rows)
