from __future__ import annotations

import json
from pathlib import Path

import pytest

from ia2_eval.experiments.record import NewerRecordError, Record, dump_record, parse_record
from ia2_eval.experiments.store import Store
from tests.leaderboard.synthetic_run import make_record

RECORD = make_record("ia2", {"sst2": {"acc": 0.5}}, scoring_version=1)

ADDED = {"evaluations": {"scoring_version", "dev_samples"}, "cell": {"temperature_scaling", "agreement"}}


def test_records_of_old_are_read(tmp_path: Path) -> None:
    """From before records told the version of scoring; they were scored by the first."""
    content = json.loads(RECORD.model_dump_json())
    (evaluation,) = content["evaluations"]
    for part, names in ((evaluation, ADDED["evaluations"]), (content["cell"], ADDED["cell"])):
        for name in names:
            del part[name]
    assert content["schema_version"] == 1
    record = parse_record(json.dumps(content).encode(), RECORD.key)
    assert record == RECORD
    assert (record.evaluations[0].scoring_version, record.evaluations[0].dev_samples) == (1, None)
    Store(tmp_path).write_record(record)
    assert Store(tmp_path).done(RECORD.cell) == RECORD


def test_a_record_as_it_is_written() -> None:
    """The same record is the same file; indented JSON, with the digest last."""
    content = dump_record(RECORD)
    assert content == dump_record(RECORD) and content.endswith(b"\n")
    assert parse_record(content, RECORD.key) == RECORD
    assert list(json.loads(content))[-1] == "digest"
    assert dump_record(parse_record(content, RECORD.key)) == content
    assert json.loads(content)["digest"] != json.loads(dump_record(failed("a")))["digest"]


def failed(error: str) -> Record:
    return RECORD.model_copy(update={"status": "failed", "error": error, "cause": error, "evaluations": ()})


@pytest.mark.parametrize("error", ["a\u2028b \U0001f600 ä", "\udcff cannot be encoded", "", "NaN"])
def test_texts_of_all_kinds_survive(error: str) -> None:
    record = failed(error.encode(errors="replace").decode())
    assert parse_record(dump_record(record), RECORD.key) == record


def test_any_change_is_found() -> None:
    content = json.loads(dump_record(RECORD))
    with pytest.raises(ValueError, match="does not fit its digest: it was altered"):
        parse_record(json.dumps(content).encode(), RECORD.key)  # another layout
    content["evaluations"][0]["metrics"]["acc"] = 0.75
    with pytest.raises(ValueError, match="does not fit its digest: it was altered"):
        parse_record(json.dumps(content).encode(), RECORD.key)
    del content["digest"]  # as in early records, whose content is taken at its word
    assert parse_record(json.dumps(content).encode(), RECORD.key).evaluations[0].metrics["acc"] == 0.75


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("key", "0" * 16, "it was altered"),
        ("status", "fine", "status"),
        ("surprise", 1, "surprise"),
        ("schema_version", "x", "schema_version"),
        ("attempt", 0, "attempt"),
    ],
)
def test_what_is_no_record(name: str, value: object, fault: str) -> None:
    content = json.loads(RECORD.model_dump_json()) | {name: value}
    with pytest.raises(ValueError, match=fault):
        parse_record(json.dumps(content).encode(), RECORD.key)


def test_a_file_under_another_name_is_no_record() -> None:
    with pytest.raises(ValueError, match=r"file name, key .* differ"):
        parse_record(dump_record(RECORD), "copy of it")


def test_every_cut_is_found() -> None:
    content = dump_record(RECORD)
    for length in [*range(0, len(content) - 1, 97), len(content) - 2]:
        with pytest.raises(ValueError):
            parse_record(content[:length], RECORD.key)


def test_a_later_schema_is_told_before_anything_else_is_looked_at() -> None:
    """Its fields, and how its digest is made, are not known."""
    with pytest.raises(NewerRecordError, match="schema version 3, this ia2-eval knows versions up to 1: update ia2-ev"):
        parse_record(json.dumps({"schema_version": 3, "digest": "x", "new": {}}).encode(), "any")
