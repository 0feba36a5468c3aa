from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval_results import task, write_results
from synthetic_run import make_record, sample, write_plan, write_run

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.headline import STRICT_LABELS
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.lm.base_model import Base

OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"


def record(accuracy=0.5, **options):
    return make_record("icl", {"sst2": {"acc": accuracy, "ece": 0.1}}, examples=2, **options)


def test_records_of_all_directories(tmp_path):
    one, two = record(seed=0), record(seed=1)
    results = read_results([write_run(tmp_path / "a", [one]), write_run(tmp_path / "b", [two])])
    assert sorted(results.records, key=lambda each: each.cell.seed) == [one, two]
    assert (results.plan, results.faults, results.notes) == (None, (), ())
    assert results.record_path(two) == tmp_path / "b" / "records" / f"{two.key}.json"
    assert results.name(one.key) == str(tmp_path / "a" / "records" / f"{one.key}.json")
    assert read_results([tmp_path / "a"]).name(one.key) == f"records/{one.key}.json"


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_finished_record_of_a_cell_counts(tmp_path, order):
    old, new = record(0.5, created=OLD), record(0.7, created=NEW)
    failed = record(created="2026-03-01T00:00:00+00:00", error="E: x")
    right, wrong = sample(0.9, True), sample(0.9, False)
    directories = [
        write_run(tmp_path / "old", [old], [wrong, wrong]),
        write_run(tmp_path / "new", [new], [right, right]),
        write_run(tmp_path / "failed", [failed]),
    ]
    results = read_results(directories[::order])
    assert results.records == (new,)
    assert results.outcomes(new, new.evaluations[0], STRICT_LABELS).correct.all()
    assert results.notes == ("2 cells are in several directories: their newest finished record counts",)
    assert read_results(directories[2:]).records == (failed,)


def test_outcomes_are_read_once(tmp_path):
    (written,) = read_results([write_run(tmp_path, [record()])]).records
    results = read_results([tmp_path])
    first = results.outcomes(written, written.evaluations[0], STRICT_LABELS)
    (tmp_path / written.evaluations[0].samples).unlink()
    assert results.outcomes(written, written.evaluations[0], STRICT_LABELS) is first


def test_faults_are_named_with_their_directory(tmp_path):
    directories = [write_run(tmp_path / name, [record(seed=i)]) for i, name in enumerate("ab")]
    (tmp_path / "b" / "records" / "bad.json").write_text("{")
    (fault,) = read_results(directories).faults
    assert fault.startswith(f"{tmp_path}/b: records/bad.json: ")
    assert read_results(directories[1:]).faults[0].startswith("records/bad.json: ")


def test_plans_of_all_directories(tmp_path):
    cells = [record(seed=seed) for seed in range(4)]
    one = write_plan(write_run(tmp_path / "a", cells[:1]), cells[:2])
    two = write_plan(tmp_path / "b", cells[1:3])
    bare = write_run(tmp_path / "c", cells[3:])
    results = read_results([one, two, bare])
    assert list(results.plan) == [each.key for each in cells]
    (group,) = group_records(results.records, results.plan).groups
    assert (group.missing, len(group.records)) == (2, 2)


def test_the_setting_of_the_last_directory_counts(tmp_path):
    tried, whole = record(limit=2, created=NEW), record(created=OLD)
    directories = [
        write_plan(write_run(tmp_path / name, [each]), [each]) for name, each in (("a", tried), ("b", whole))
    ]
    for given, counted, instead in (
        (directories, whole, "limit 2 instead of None"),
        (directories[::-1], tried, "limit None instead of 2"),
    ):
        results = read_results(given)
        groups, notes = group_records(results.records, results.plan, results.name)
        assert [group.records for group in groups] == [(counted,)]
        assert instead in notes[0] and str(tmp_path) in notes[0]


def test_a_cell_that_is_planned_again_is_planned_last(tmp_path):
    tried, whole = record(limit=2), record()
    directories = [write_plan(tmp_path / name, [each]) for name, each in (("a", tried), ("b", whole), ("c", tried))]
    assert list(read_results(directories).plan) == [whole.key, tried.key]


def test_the_same_directory_twice_counts_once(tmp_path):
    write_run(tmp_path, [record()])
    results = read_results([tmp_path, tmp_path / "records" / ".."])
    assert (len(results.sources), results.notes) == (1, ())


def lm_eval_base(**others):
    return Base(model="org/model", fingerprint="f" * 40, **others)


def test_results_of_lm_eval_stand_beside_those_of_a_run(tmp_path):
    run = write_run(tmp_path / "run", [record(0.5, base=lm_eval_base(), seed=seed) for seed in (0, 1)])
    metrics = {"acc,none": 0.9, "ece,none": 0.1}
    same = {"model_sha": "f" * 40}
    for seed in (1, 2):  # the run has seed 1, too
        write_results(
            tmp_path / "lm" / str(seed), {"ia2_sst2": (task("sst2", ia2_seed=seed), metrics)}, shots=4, **same
        )
    write_results(tmp_path / "lm" / "bare", {"ia2_sst2": (task("sst2"), metrics)}, **same)
    for given in ([run, tmp_path / "lm"], [tmp_path / "lm", run]):
        results = read_results(given)
        groups, notes = group_records(results.records, results.plan, results.name)
        rows = [row for row in aggregate(groups) if row.metric == "acc"]
        assert [(row.method, row.N, row.seeds) for row in rows] == [("no_icl", 4, None), ("icl", 4, 3)]
        assert rows[1].mean == pytest.approx((0.5 + 0.5 + 0.9) / 3)
        (note,) = notes
        assert note.startswith(
            "1 cells of lm-eval have results that a run, or a newer file, has, too: those are left out (first: "
        )
        assert "lm/1/results_" in note
    limited = tmp_path / "limited"
    write_results(limited, {"ia2_sst2": (task("sst2"), metrics)}, limit=4.0, **same)
    results = read_results([run, limited])
    groups, notes = group_records(results.records, results.plan, results.name)
    assert [group.method for group in groups] == ["icl"]
    assert "limit 4 instead of None: 1 records" in notes[0]


def test_a_base_is_the_same_by_the_fingerprint_that_ia2_hf_tells(tmp_path):
    run = write_run(tmp_path / "run", [record(0.5, base=Base(model="embedded", fingerprint="f" * 64))])
    sst2 = {"ia2_sst2": (task("sst2"), {"acc,none": 0.9})}
    write_results(
        tmp_path / "lm", sst2, model_args="pretrained=/place/model", model_sha="f" * 64, model_dtype="torch.float32"
    )
    groups, _ = group_records(read_results([run, tmp_path / "lm"]).records)
    assert [group.method for group in groups] == ["no_icl", "icl"]
    assert len({group.base for group in groups}) == 1


def test_the_newest_setting_of_lm_eval_counts_beside_a_plan_too(tmp_path):
    other = record(base=Base(model="other"))
    run = write_plan(write_run(tmp_path / "run", [other]), [other])
    sst2 = {"ia2_sst2": (task("sst2"), {"acc,none": 0.9})}
    write_results(tmp_path / "lm" / "tried", sst2, limit=4.0, date=1.0)
    write_results(tmp_path / "lm" / "whole", sst2, shots=4, date=2.0)
    results = read_results([run, tmp_path / "lm"])
    groups, notes = group_records(results.records, results.plan, results.name)
    assert [group.method for group in groups if group.base == "org/model"] == ["icl"]
    assert "limit 4 instead of None" in notes[0]


def test_results_of_one_cell_in_several_places_are_put_together(tmp_path):
    def write(name, accuracy, *tasks, date):
        of_tasks = {task_name: (task(*where), {"acc,none": accuracy}) for task_name, *where in tasks}
        write_results(tmp_path / name, of_tasks, shots=4, date=date)

    sst2, fins, poems = ((f"ia2_sst2_to_{name}", name, "sst2") for name in ("sst2", "fins", "poems"))
    write("a", 0.1, sst2, fins, date=1.0)
    write("b", 0.2, fins, poems, date=2.0)
    for names in ("ab", "ba"):
        results = read_results([tmp_path / name for name in names])
        (group,), notes = group_records(results.records, results.plan, results.name)
        assert (group.missing, group.evals) == (0, ("sst2", "fins", "poems"))
        rows = aggregate([group])
        assert {(row.eval, row.mean, row.seeds, row.complete) for row in rows} == {
            ("sst2", 0.1, 1, True),
            ("fins", 0.2, 1, True),
            ("poems", 0.2, 1, True),
        }
        assert "1 cells of lm-eval" in notes[0] and f"{tmp_path}/a/results_" in notes[0]


def test_what_is_no_directory_of_results(tmp_path: Path):
    with pytest.raises(UserError, match=r"'.*absent' does not exist: give the --out of `ia2-eval run`"):
        read_results([tmp_path / "absent"])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file' is a file"):
        read_results([tmp_path / "file"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no records.* Or lm-eval's --output_path, with its results_"):
        read_results([tmp_path / "empty"])
    for name in ("model_answer", "model_judgment"):
        (tmp_path / name / name).mkdir(parents=True)
        with pytest.raises(UserError, match="use `ia2-eval leaderboard mtbench"):
            read_results([tmp_path / name])
    write_run(tmp_path / "model_answer", [record()])  # a run that lies in the same folder
    assert len(read_results([tmp_path / "model_answer"]).records) == 1
