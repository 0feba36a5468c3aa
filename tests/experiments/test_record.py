from __future__ import annotations

import json
from pathlib import Path

from ia2_eval.experiments.record import parse_record
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
