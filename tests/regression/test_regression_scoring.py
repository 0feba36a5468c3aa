from __future__ import annotations

from math import nan
from pathlib import Path

import pytest

import ia2_eval.scoring.metrics as scoring
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.regression import metrics
from ia2_eval.regression.metrics import changes, scoring_checks, shown
from ia2_eval.regression.reference import load_reference
from ia2_eval.regression.results import results_checks
from tests.leaderboard.synthetic_run import make_record, write_run
from tests.regression.gate_runs import Written, judged, label_rows

ROWS = label_rows([True] * 8 + [False] * 2)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    written = Written({("icl", 0): ROWS, ("icl", 1): ROWS})
    judged(tmp_path, written, written, exact=True)
    return tmp_path / "reference"


def test_changes() -> None:
    before = {"acc": 0.5, "ece": 0.1, "brier": nan, "auroc": 0.7}
    assert changes(before, before | {"brier": nan, "new": 1.0}) == {}
    assert changes(before, before | {"ece": 0.1005}, tolerance=1e-3) == {}
    found = changes(before, {"acc": 0.5, "ece": 0.2, "brier": nan})
    assert found == {"ece": (0.1, 0.2), "auroc": (0.7, None)}
    assert shown(found) == "ece 0.1 -> 0.2 and 1 more"


def test_scoring_is_looked_at_for_itself(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = scoring_checks(load_reference(reference))
    assert check[:3] == ("scoring", "SST2", "pass")
    monkeypatch.setattr(scoring, "mean_of", lambda values: lambda weights: weights[:, 0] * 0.1)
    (check,) = scoring_checks(load_reference(reference))
    assert check.verdict == "regression"
    assert check.reason == "2 of 2 have other metrics for the same rows: acc 0.8 -> 0.1"


def test_another_version_of_scoring_cannot_be_told(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metrics.SCORING_VERSION + 1
    monkeypatch.setattr(metrics, "SCORING_VERSION", version)
    (check,) = scoring_checks(load_reference(reference))
    assert check.verdict == "cannot tell"
    assert check.reason == f"scoring is of version {version} instead of {version - 1}: `ia2-eval rescore` the reference"


def test_results_of_several_versions_of_the_code_cannot_be_told(tmp_path: Path) -> None:
    records = []
    for seed, commit in enumerate(("a" * 40, "b" * 40, "b" * 40)):
        record = make_record("icl", {"sst2": {"acc": 0.5}}, seed=seed)
        provenance = record.provenance.model_copy(update={"git_commit": commit, "git_dirty": seed == 0})
        records.append(record.model_copy(update={"provenance": provenance}))
    write_run(tmp_path, records[1:])
    (check,) = results_checks(read_run(tmp_path))
    assert (check.verdict, check.reason) == ("pass", "all records were made by commit bbbbbbbbbbbb")
    write_run(tmp_path, records[:1])
    (tmp_path / "records" / "broken.json").write_text("{")
    fault, check = results_checks(read_run(tmp_path))
    assert fault.verdict == "cannot tell" and fault.name == "records/broken.json"
    assert check.verdict == "cannot tell"
    assert "2 records by commit bbbbbbbbbbbb, 1 records by commit aaaaaaaaaaaa and changes" in check.reason
