from __future__ import annotations

import json

import pytest
from synthetic_run import generation, make_record, sample, write_plan, write_run

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.results.read import Run, read_run


def test_reads_what_a_run_wrote(tmp_path):
    records = [make_record("icl", {"sst2": {"acc": 0.5}}, seed=seed) for seed in (0, 1)]
    read = read_run(write_run(tmp_path, records))
    assert read.records == tuple(sorted(records, key=lambda record: record.key))
    assert read.faults == ()


def test_a_directory_without_records_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"holds no records.* and no plan\.json") as refused:
        read_run(tmp_path)
    assert "lm-eval" not in str(refused.value)  # whose results only a leaderboard reads


def _alter(change):
    def alter(path):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return alter


def _metric(name, value):
    return _alter(lambda content: content["evaluations"][0]["metrics"].update({name: value}))


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda path: path.write_text(path.read_text()[:100]), "line 1 column"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "line 1 column 1"),
        (_alter(lambda content: content.update(schema_version=99)), "schema version 99"),
        (_alter(lambda content: content.update(surplus=1)), "surplus: Extra inputs"),
        (_alter(lambda content: content["cell"].update(seed=5)), "altered"),
        (_alter(lambda content: content.pop("training")), "without `training`"),
        (_metric("acc", 7.5), "sst2: acc is 7.5, which lies between 0 and 1"),
        (_metric("ece_mass", -0.1), "sst2: ece_mass is -0.1, which"),
        (_metric("acc", float("nan")), "sst2: acc is nan, which"),
        (_metric("nll", float("nan")), "sst2: nll is nan: it was altered"),
        (lambda path: path.rename(path.with_name("copy.json")), "altered"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_others_are_read(tmp_path, spoil, fault):
    good, bad = (make_record("sft", {"sst2": {"acc": 0.5}}, seed=seed) for seed in (0, 1))
    write_run(tmp_path, [good, bad])
    spoil(tmp_path / "records" / f"{bad.key}.json")
    read = read_run(tmp_path)
    assert read.records == (good,)
    assert len(read.faults) == 1
    assert read.faults[0].startswith(("records/" + bad.key, "records/copy.json"))
    assert fault in read.faults[0]


def test_metrics_that_may_be_greater_than_one_and_rounding_are_no_fault(tmp_path):
    metrics = {"acc": 1.0, "ece": 1 + 1e-15, "ece_n": 200.0, "brier": 1.5, "nll": 9.0, "temperature": 100.0}
    assert read_run(write_run(tmp_path, [make_record("icl", {"sst2": metrics})])).faults == ()


def test_an_unknown_benchmark_is_a_fault(tmp_path):
    write_run(tmp_path, [make_record("icl", {"sst22": {"acc": 0.5}}, source="sst22")], [sample(0.9, True)])
    read = read_run(tmp_path)
    assert read.records == ()
    assert "'sst22'" in read.faults[0]


def test_a_plan_is_read(tmp_path):
    records = [make_record("sft", {"sst2": {"acc": 0.5}}, seed=seed) for seed in (0, 1)]
    write_run(tmp_path, records[:1])
    assert read_run(tmp_path).plan is None
    write_plan(tmp_path, records)
    assert read_run(tmp_path).plan == {record.key: record.cell for record in records}


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda path: path.write_text(path.read_text()[:100]), "Invalid JSON"),
        (lambda path: path.write_text("[]"), "should be an object"),
        (lambda path: path.write_text(path.read_text().replace('"seed": 0', '"seed": 5')), "altered"),
        (lambda path: path.write_text(path.read_text().replace('"method"', '"mode"')), "; 7 more"),
    ],
)
def test_a_faulty_plan_is_named_and_the_records_are_read(tmp_path, spoil, fault):
    records = [make_record("sft", {"sst2": {"acc": 0.5}}, seed=seed) for seed in range(5)]
    write_plan(write_run(tmp_path, records), records)
    spoil(tmp_path / "plan.json")
    read = read_run(tmp_path)
    assert len(read.records) == 5
    assert read.plan is None
    assert len(read.faults) == 1
    assert read.faults[0].startswith("plan.json: ")
    assert fault in read.faults[0]


def test_samples(tmp_path):
    record = make_record("icl", {"sst2": {"acc": 0.5}}, examples=2)
    write_run(tmp_path, [record], [sample(0.9, True), sample(0.6, False)])
    read = Run(tmp_path, (), None, ()).samples(record.evaluations[0])
    assert [(row.confidence, row.correct, row.next_token) for row in read] == [(0.9, True, None), (0.6, False, None)]


def test_samples_are_read_as_the_benchmark_is_answered(tmp_path):
    record = make_record("icl", {"gsm8k": {"acc": 0.5}}, source="gsm8k", examples=2)
    write_run(tmp_path, [record], [generation(None, True), generation(0.6, False)])
    read = Run(tmp_path, (), None, ()).samples(record.evaluations[0])
    assert [(row.prediction, row.confidence, row.correct) for row in read] == [
        ("#### 4\n", None, True),
        ("#### 4\n", 0.6, False),
    ]


def test_rows_of_old_runs_may_hold_what_is_a_line_end_to_unicode(tmp_path):
    record = make_record("icl", {"gsm8k": {"acc": 0.5}}, source="gsm8k", examples=2)
    rows = [generation(0.6, True) | {"prediction": text} for text in ("a\u2028b", "c\x85d\u2029\n")]
    path = write_run(tmp_path, [record], rows) / record.evaluations[0].samples
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    read = Run(tmp_path, (), None, ()).samples(record.evaluations[0])
    assert [row.prediction for row in read] == [
        "a\u2028b",
        "c\x85d\u2029\n",
    ]


def test_samples_that_are_not_there_are_named(tmp_path):
    record = make_record("icl", {"sst2": {"acc": 0.5}}, examples=2)
    with pytest.raises(UserError, match=f"{record.evaluations[0].samples}: cannot be read"):
        Run(tmp_path, (), None, ()).samples(record.evaluations[0])


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([sample(0.9, True)], "1 rows, but the record counts 2"),
        ([sample(0.9, True), sample(1.5, True)], "line 2: confidence"),
        ([sample(0.9, True), generation(0.9, True)], "line 2: correct_full_vocab: Field required"),
    ],
)
def test_faulty_samples_are_refused(tmp_path, rows, fault):
    record = make_record("icl", {"sst2": {"acc": 0.5}}, examples=2)
    write_run(tmp_path, [record], rows)
    with pytest.raises(UserError, match=fault):
        Run(tmp_path, (), None, ()).samples(record.evaluations[0])
