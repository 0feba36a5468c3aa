from __future__ import annotations

from pathlib import Path

import pytest

from ia2_eval.benchmarks import Example, data_faults, describe
from ia2_eval.errors import UserError
from tests.benchmarks.hub_rows import sst2, write_hub_rows, write_rows


def test_a_good_directory_has_no_fault(hub_rows: Path) -> None:
    assert data_faults(hub_rows) == []


def test_real_rows_have_no_fault(real_rows: Path) -> None:
    assert data_faults(real_rows) == []


def test_every_fault_is_listed_once(tmp_path: Path) -> None:
    write_hub_rows(tmp_path)
    write_rows(tmp_path / "sst2/train.jsonl", [sst2(0), {"sentence": 1, "label": 7}, {"label": 0}])
    (tmp_path / "sciq/validation.jsonl").write_text("{\n")
    (tmp_path / "qasc/validation.jsonl").unlink()
    write_rows(tmp_path / "poem_sentiment/train.jsonl", [])
    expected = [
        ("sst2/train.jsonl", "line 2: column 'sentence' must be text, found 1"),
        ("sst2/train.jsonl", "line 2: column 'label' must be one of 0, 1, found 7"),
        ("sst2/train.jsonl", "line 3: column 'sentence' is missing"),
        ("poems", "has no rows to evaluate on"),
        ("sciq/validation.jsonl", "line 1: not JSON"),
        ("qasc", "has no validation.jsonl (found: nothing)"),
    ]
    found = data_faults(tmp_path)
    assert len(found) == len(expected)
    for fault, (place, message) in zip(found, expected, strict=True):
        assert place in fault and message in fault
    assert data_faults(tmp_path, ["agn", "gsm8k"]) == []


def test_a_missing_directory_is_one_fault(tmp_path: Path) -> None:
    assert len(data_faults(tmp_path / "nowhere")) == 1


def test_unknown_name(hub_rows: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'sst2'"):
        data_faults(hub_rows, ["sst"])


def test_facts(hub_rows: Path) -> None:
    facts = describe("fins", hub_rows)
    assert (facts.title, facts.pool, facts.evaluation) == ("FinS", 100, 500)
    assert facts.source == "takala/financial_phrasebank (sentences_50agree) @ refs/convert/parquet"
    assert facts.label_balance is not None and sum(facts.label_balance.values()) == 500
    assert list(facts.label_balance) == ["0", "1"]
    assert facts.example.prompt.startswith("Text:result ")
    assert describe("gsm8k", hub_rows).label_balance is None
    assert isinstance(describe("embedded_arithmetic").example, Example)
