"""`make demo`, as a newcomer runs it, and what may be said of its results."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ia2_eval.demo import ARITHMETIC, CLEAN, NOISY, lessons
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.method_options import Method
from ia2_eval.experiments.record import Evaluation, Provenance, Record
from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.results.learning_rate import Selection
from ia2_eval.lm.base_model import Base

ROOT = Path(__file__).parents[1]
METHODS: tuple[Method, ...] = ("no_icl", "icl", "sft", "ia2", "ia2_sft")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demo printed, and its directory."""
    if shutil.which("make") is None or not (ROOT / ".venv" / "installed").exists():
        pytest.skip("make or the environment that it sets up is absent: run `make install`")
    out = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        ["make", "demo", f"DEMO_OUT={out}"], cwd=ROOT, capture_output=True, text=True, timeout=1200, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, out


def test_ends_with_table_files_and_five_lines(demo: tuple[str, Path]) -> None:
    printed, out = demo
    for heading in ("no ICL", "ICL", "SFT", "IA2 → SFT", "Arithmetic", "unparsed", "ECE"):
        assert heading in printed
    assert "missing" not in printed
    assert (out / "leaderboard.csv").exists() and (out / "leaderboard.md").exists()
    assert list(out.rglob("accuracy_vs_n.png")) and list(out.rglob("accuracy_vs_n.svg"))
    assert list(out.rglob("reliability_*.png")) and list(out.rglob("reliability_*.svg"))
    assert sum(line.startswith("- ") for line in printed.splitlines()) == 5


def test_in_context_learning_is_far_above_none(demo: tuple[str, Path]) -> None:
    """What the embedded model is for. Whether IA2 helps depends on the benchmark and is reported, not asserted."""
    with (demo[1] / "leaderboard.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "acc" and row["selection"] != "oracle"]
    accuracy = {(row["source"], row["method"]): float(row["mean"]) for row in rows}
    sources = {source for source, _ in accuracy}
    assert len(sources) == 3
    for source in sources:
        assert accuracy[source, "icl"] - accuracy[source, "no_icl"] > 0.2
    assert {method for _, method in accuracy} == set(METHODS)


def test_the_lines_hold_the_measured_figures() -> None:
    def row(source: str, method: Method, metric: str, mean: float, selection: Selection) -> Row:
        return Row(
            base="embedded",
            adapter="",
            protocol="strict",
            source=source,
            eval=source,
            ood=False,
            N=8,
            method=method,
            metric=metric,
            selection=selection,
            learning_rate=None,
            mean=mean,
            std=None,
            ci_low=mean - 0.02,
            ci_high=mean + 0.04,
            interval="t",
            seeds=5,
            seeds_expected=5,
            n=200,
            complete=True,
        )

    rows = [
        row(source, method, metric, 0.11 + 0.1 * place + 0.01 * order, "dev")
        for place, source in enumerate((ARITHMETIC, NOISY, CLEAN))
        for order, method in enumerate(METHODS)
        for metric in ("acc", "ece", "unparsed")
    ]
    records = [
        record(source, method, seed, 0.5 + 0.1 * seed + (0.02 * seed if method == "ia2_sft" else 0))
        for source in (ARITHMETIC, NOISY, CLEAN)
        for method in ("sft", "ia2_sft")
        for seed in range(3)
    ]
    oracle = [row(source, "sft", "acc", 0.99, "oracle") for source in (ARITHMETIC, NOISY, CLEAN)]
    lines = lessons([*rows, *oracle], records)
    assert len(lines) == 5
    assert "no ICL 11 ± 3 %, ICL 12 ± 3 % right" in lines[0]
    assert (
        "SFT 13 ± 3 %, IA2 14 ± 3 %, IA2 → SFT 15 ± 3 %; IA2 → SFT minus SFT, by seed: +2.0 points (-3.0 to +7.0)"
        in lines[1]
    )
    assert "(5 seeds, 200 test examples each; " in lines[1]
    assert "ECE: ICL 0.22 ± 0.03, SFT 0.23 ± 0.03" in lines[2]
    assert "SFT 33 ± 3 %" in lines[3]
    assert "Not claimed" in lines[4]


def record(source: str, method: Method, seed: int, accuracy: float) -> Record:
    cell = Cell(base=Base(model="embedded"), source=source, n=8, seed=seed, method=method, evals=(source,), data="d")
    evaluation = Evaluation(eval=source, ood=False, n=200, metrics={"acc": accuracy}, samples="")
    made = Provenance(created="", versions={}, device="cpu", wall_seconds=1, peak_memory_bytes=None)
    return Record(key=cell.key, cell=cell, status="ok", provenance=made, evaluations=(evaluation,))
