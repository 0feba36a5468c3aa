from __future__ import annotations

import json
from pathlib import Path

import pytest
from lm_eval_results import label_row, task, text_row, write_results
from synthetic_run import make_record, write_run

from ia2_eval.leaderboard.build import build
from ia2_eval.leaderboard.results.aggregate import aggregate
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.headline import PUBLISHED, STRICT_LABELS
from ia2_eval.leaderboard.results.lm_eval_files import is_lm_eval_directory, read_lm_eval
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.calibration import expected_calibration_error
from ia2_eval.scoring.metrics import measure_generations, measure_labels
from ia2_eval.scoring.samples import GenerationSample, LabelSample
from ia2_eval.shipped import TASKS_DIRECTORY

ACC = {"acc,none": 0.5, "acc_stderr,none": 0.1, "ece,none": 0.2, "ece_stderr,none": "N/A", "auroc,none": float("nan")}
SST2 = {"ia2_sst2": (task("sst2"), ACC)}
LATER = {"time": "2026-02-02T00-00-00.000000", "date": 1770000000.0}
ROWS = [label_row(0, 0, 0.9, 0), label_row(1, 0, 0.8, 1), label_row(2, 1, 0.7, 1), label_row(3, 1, 0.6, 1)]


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lm-eval itself writes for its weightless model: two seeds of ICL, then no ICL."""
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.dummy import DummyLM
    from lm_eval.tasks import TaskManager

    out = tmp_path_factory.mktemp("lm_eval")
    names = ["ia2_embedded_mood", "ia2_embedded_arithmetic"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DummyLM, "tokenizer", None)
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")
        for seed, shots, tasks in ((0, 2, names), (1, 2, names), (0, 0, [*names, "ia2_mtbench_trial"])):
            manager = TaskManager(
                include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata={"ia2_seed": seed}
            )
            tracker = EvaluationTracker(output_path=str(out))
            results = lm_eval.simple_evaluate(
                model="dummy",
                model_args="pretrained=org/dummy",
                tasks=tasks,
                task_manager=manager,
                num_fewshot=shots,
                limit=8,
                bootstrap_iters=0,
                evaluation_tracker=tracker,
                verbosity="ERROR",
            )
            samples = results.pop("samples")
            tracker.save_results_aggregated(results, samples)
            for name in results["configs"]:
                tracker.save_results_samples(name, samples[name])
    return out


def test_what_lm_eval_writes(evaluated: Path) -> None:
    assert is_lm_eval_directory(evaluated)
    run = read_lm_eval(evaluated)
    assert run.faults == ()
    assert run.notes == (
        "left out, MT-Bench is judged, not scored: `ia2-eval mtbench` takes its samples: ia2_mtbench_trial",
        "the precision of org/dummy is not in lm-eval's files: taken for float32",
    )
    cells = [record.cell for record in run.records]
    assert sorted((cell.method, cell.source, cell.n or 0, cell.seed or 0) for cell in cells) == [
        *((("icl", source, 2, seed)) for source in ("embedded_arithmetic", "embedded_mood") for seed in (0, 1)),
        *(("no_icl", source, 0, 0) for source in ("embedded_arithmetic", "embedded_mood")),
    ]
    assert {(cell.base.model, cell.protocol, cell.limit) for cell in cells} == {("org/dummy", "strict", 8)}
    for record in run.records:
        path = run.record_path(record)
        told = json.loads(path.read_bytes())
        (evaluation,) = record.evaluations
        name = f"ia2_{evaluation.eval}"
        assert told["n-shot"][name] == (record.cell.n or 0)
        assert (evaluation.n, len(run.samples(evaluation))) == (8, 8)
        for metric in ("acc", "ece", "ece_mass", "mce", "brier", "unparsed"):  # ours of the samples, and lm-eval's
            if f"{metric},none" in told["results"][name]:
                assert evaluation.metrics[metric] == pytest.approx(told["results"][name][f"{metric},none"], abs=1e-6)
        assert evaluation.intervals.keys() >= {"acc"}
        assert record.provenance.versions["lm_eval"] == told["lm_eval_version"]
        assert record.provenance.git_commit == told["git_hash"]


def test_a_board_of_what_lm_eval_writes(evaluated: Path, tmp_path: Path) -> None:
    board = build(evaluated, tmp_path)
    assert board.faults == board.failed == ()
    labels, texts = board.tables
    assert (labels.columns, texts.columns) == (("no ICL", "ICL"),) * 2
    assert [row[1] for row in (*labels.rows, *texts.rows)] == [("Mood", "Mood"), ("Arithmetic", "Arithmetic")]
    assert texts.rows[0][2:] == (("0.0", "100.0"), ("0.0 (0.0)", "100.0 (0.0)"))  # the model says `lol`
    assert any("reliability_embedded_mood" in path.name for path in board.paths)


def test_metrics_and_outcomes_are_those_of_the_samples(tmp_path: Path) -> None:
    write_results(tmp_path, SST2, samples={"ia2_sst2": ROWS[::-1]})
    results = read_results([tmp_path])
    (record,) = results.records
    (evaluation,) = record.evaluations
    assert evaluation.metrics["acc"] == evaluation.metrics["acc_full_vocab"] == 0.75
    ece = expected_calibration_error([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1])
    assert evaluation.metrics["ece"] == pytest.approx(ece)
    assert evaluation.intervals["acc"][0] < 0.75 < evaluation.intervals["acc"][1]
    outcomes = results.outcomes(record, evaluation, STRICT_LABELS)
    assert outcomes.correct.tolist() == [True, False, True, True]
    assert outcomes.confidence.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert "auroc_stderr" not in evaluation.metrics


def test_without_samples_the_numbers_are_lm_evals(tmp_path: Path) -> None:
    write_results(tmp_path, SST2)
    ((record,), results) = (found := read_results([tmp_path])).records, found
    (evaluation,) = record.evaluations
    assert (evaluation.metrics, evaluation.intervals) == ({"acc": 0.5, "ece": 0.2}, {})
    assert evaluation.samples == ""
    assert results.notes == (
        "1 evaluations (sst2) have no samples, so nothing of single examples: lm-eval writes them with --log_samples",
    )
    board = build(tmp_path, tmp_path / "out")
    assert board.faults == ()
    assert "--log_samples" in board.notes[0]
    assert board.tables[0].rows[0][2] == ("50.0", "0.20")


def test_confidence_of_generated_answers(tmp_path: Path) -> None:
    rows = [
        text_row(0, " #### 4", " #### 4", (0.9, 1)),
        text_row(1, " #### 5", " #### 4", (0.8, 0)),
        text_row(2, "?", "#### 4", (0.7, 1)),  # lm-eval read another answer: the confidence is not that of ours
    ]
    write_results(
        tmp_path,
        {"ia2_gsm8k": (task("gsm8k"), {"acc,none": 1 / 3, "tokens,none": 3.0})},
        n=3,
        samples={"ia2_gsm8k": rows},
    )
    run = read_lm_eval(tmp_path)
    (evaluation,) = run.records[0].evaluations
    assert [(row.correct, row.confidence) for row in run.samples(evaluation)] == [
        (True, 0.9),
        (False, 0.8),
        (False, None),
    ]
    metrics = evaluation.metrics
    assert (metrics["ece_n"], metrics["tokens"], metrics["acc"]) == (2.0, 3.0, pytest.approx(1 / 3))
    assert metrics["ece"] == pytest.approx(expected_calibration_error([0.9, 0.8], [1, 0]))


def test_the_intervals_are_those_of_a_run(tmp_path: Path) -> None:
    rows = [text_row(0, " #### 4", " #### 4", (0.9, 1)), text_row(1, " #### 5", " #### 4", (0.6, 0))]
    write_results(tmp_path / "labels", SST2, samples={"ia2_sst2": ROWS})
    gsm8k = {"ia2_gsm8k": (task("gsm8k"), {"acc,none": 0.5})}
    write_results(tmp_path / "texts", gsm8k, n=2, samples={"ia2_gsm8k": rows})
    run = read_lm_eval(tmp_path)
    found = {record.cell.source: record.evaluations[0] for record in run.records}
    labels = measure_labels([row for row in run.samples(found["sst2"]) if isinstance(row, LabelSample)], ("0", "1"))
    told = {name: pytest.approx(interval) for name, interval in labels.intervals.items()}
    assert found["sst2"].intervals == told
    assert found["sst2"].metrics == pytest.approx(labels.metrics)
    texts = [row for row in run.samples(found["gsm8k"]) if isinstance(row, GenerationSample)]
    written = measure_generations(texts, ANSWER_FORMATS["hash_line"], "strict")
    assert found["gsm8k"].intervals == {name: pytest.approx(value) for name, value in written.intervals.items()}
    assert found["gsm8k"].metrics["brier"] == pytest.approx((0.1**2 + 0.6**2) / 2)


def test_published_quantities_of_paper_results(tmp_path: Path) -> None:
    told = [(0.6, 1), (0.5, 0), (0.4, 1), (0.3, 1)]
    rows = [row | {"ece_published": list(pair)} for row, pair in zip(ROWS, told, strict=True)]
    metrics = ACC | {"acc_published,none": 0.75, "ece_published,none": 0.4}
    of_paper = {"ia2_sst2": (task("sst2", ia2_protocol="paper", ia2_n=4, ia2_seed=2), metrics)}
    write_results(tmp_path, of_paper, samples={"ia2_sst2": rows})
    results = read_results([tmp_path])
    (record,) = results.records
    assert (record.cell.protocol, record.cell.method, record.cell.n, record.cell.seed) == ("paper", "icl", 4, 2)
    outcomes = results.outcomes(record, record.evaluations[0], PUBLISHED)
    assert outcomes.correct.tolist() == [True, False, True, True]
    assert outcomes.confidence.tolist() == [0.6, 0.5, 0.4, 0.3]
    groups = group_records(results.records).groups
    assert groups[0].headline("sst2").accuracy == "acc_published"
    expected = expected_calibration_error([0.6, 0.5, 0.4, 0.3], [1, 0, 1, 1], equal_mass=True)
    assert record.evaluations[0].metrics["ece_published"] == pytest.approx(expected)


def test_the_newest_of_each_task_counts(tmp_path: Path) -> None:
    fins = {"ia2_sst2_to_fins": (task("fins", "sst2"), ACC)}
    write_results(tmp_path / "a", SST2 | fins, shots=4)
    write_results(tmp_path / "a", {"ia2_sst2": (task("sst2"), {"acc,none": 0.9})}, shots=4, **LATER)
    (record,) = read_lm_eval(tmp_path).records
    assert [(found.eval, found.ood, found.metrics["acc"]) for found in record.evaluations] == [
        ("sst2", False, 0.9),
        ("fins", True, 0.5),
    ]
    assert read_lm_eval(tmp_path).record_path(record).name.startswith("results_2026-02-02")


def test_no_icl_stands_beside_each_source_that_has_results(tmp_path: Path) -> None:
    alone = {"ia2_fins": (task("fins"), {"acc,none": 0.3})}
    write_results(tmp_path, {"ia2_sst2_to_fins": (task("fins", "sst2"), ACC)}, shots=4)
    write_results(tmp_path, alone, **LATER)
    rows = [row for row in aggregate(group_records(read_lm_eval(tmp_path).records).groups) if row.metric == "acc"]
    assert {(row.method, row.source, row.eval, row.N, row.mean) for row in rows} == {
        ("no_icl", "sst2", "fins", 4, 0.3),
        ("icl", "sst2", "fins", 4, 0.5),
    }
    write_results(tmp_path / "only", alone)
    (record,) = read_lm_eval(tmp_path / "only").records
    assert (record.cell.source, record.cell.evals) == ("fins", ("fins",))


def test_what_is_not_known_or_not_read_is_said(tmp_path: Path) -> None:
    write_results(tmp_path, SST2, model_args="pretrained=/models/mine,dtype=float32")
    assert "which files /models/mine had is not in lm-eval's files" in read_lm_eval(tmp_path).notes[0]
    write_run(tmp_path / "quick", [make_record("icl", {"sst2": {"acc": 0.5}})])
    run = read_lm_eval(tmp_path)
    assert len(run.records) == 1
    assert run.notes[-1] == (
        f"runs among lm-eval's results are left out, give their own directories: {tmp_path / 'quick'}"
    )


def test_what_is_left_out_is_named_once(tmp_path: Path) -> None:
    tasks = {
        "hellaswag": ({"version": 1.0}, {"acc,none": 0.5}),
        "arc": ({"version": 1.0}, {"acc,none": 0.5}),
        "ia2_mtbench": ({"version": 1, "ia2_bench": "mtbench"}, {"words,none": 3.0}),
        "ia2": (None, {"acc,none": 0.5}),
        "ia2_mine": (task("mine"), ACC),
    }
    write_results(tmp_path, SST2 | tasks)
    write_results(tmp_path, SST2 | tasks, **LATER)
    old = write_results(tmp_path / "old", {"ia2_fins": (task("fins"), ACC)}, versions={"ia2_fins": 0})
    run = read_lm_eval(tmp_path)
    assert [record.cell.evals for record in run.records] == [("sst2",)]
    assert run.notes[:-1] == (
        "left out, another version of the benchmark: evaluate it again: ia2_fins",
        "left out, tasks that are not this package's: hellaswag, arc",
        "left out, MT-Bench is judged, not scored: `ia2-eval mtbench` takes its samples: ia2_mtbench",
        "left out, groups are means over tasks, which are shown themselves: ia2",
        "left out, benchmarks that this ia2-eval does not know: ia2_mine",
        "1 results of tasks that have newer ones of the same setting are left out "
        "(first: results_2026-01-01T00-00-00.000000.json)",
    )
    assert old.exists()


def test_damaged_files_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_results(tmp_path / "good", SST2)
    bad = write_results(tmp_path / "bad", SST2)
    bad.write_text(bad.read_text()[:100])
    other = write_results(tmp_path / "other", SST2)
    other.write_text(json.dumps({"results": 3}))
    failure = tmp_path / "good" / "failure.txt"
    failure.write_text("Traceback\nRuntimeError: out of memory\n")
    run = read_lm_eval(tmp_path)
    assert len(run.records) == 1
    assert [fault.partition(": ")[0] for fault in run.faults] == [
        f"bad/{bad.name}",
        f"other/{other.name}",
        "good/failure.txt",
    ]
    assert "Invalid JSON" in run.faults[0] and "results" in run.faults[1]
    assert run.faults[2].endswith("RuntimeError: out of memory")


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (ROWS[:3], "3 rows, but the results count 4 examples"),
        ([*ROWS[:3], ROWS[0]], "4 rows, but the results count 4 examples"),
        ([*ROWS[:3], {"doc_id": 3}], "line 4: doc: Field required"),
        ([*ROWS[:3], ROWS[3] | {"doc": ROWS[3]["doc"] | {"choices": ["a", "b"]}}], "line 4: labels"),
        ([*ROWS[:3], ROWS[3] | {"filtered_resps": [["x", "True"], ["-1", "True"]]}], "line 4: filtered_resps"),
    ],
)
def test_damaged_samples_are_a_fault_and_lm_evals_numbers_stay(tmp_path: Path, rows: list[object], fault: str) -> None:
    write_results(tmp_path, SST2, samples={"ia2_sst2": rows})  # type: ignore[dict-item]
    run = read_lm_eval(tmp_path)
    assert run.records[0].evaluations[0].metrics["acc"] == 0.5
    assert len(run.faults) == 1
    assert run.faults[0].startswith("samples_ia2_sst2_") and fault in run.faults[0]


@pytest.mark.parametrize(
    ("limit", "original", "expected"), [(None, 200, None), (4.0, 200, 4), (0.02, 200, 4), (500.0, 4, None)]
)
def test_the_limit(tmp_path: Path, limit: float | None, original: int, expected: int | None) -> None:
    write_results(tmp_path, SST2, limit=limit, original=original)
    assert read_lm_eval(tmp_path).records[0].cell.limit == expected


def test_where_lm_eval_writes(tmp_path: Path) -> None:
    write_results(tmp_path / "flat", SST2, samples={"ia2_sst2": ROWS})
    write_results(tmp_path / "file", SST2, name="mine_{}.json", samples={"ia2_sst2": ROWS})
    write_results(tmp_path / "nested" / "runs" / "org__model", SST2, samples={"ia2_sst2": ROWS})
    write_results(tmp_path / "deep" / "a" / "b" / "c" / "d", SST2)
    for name in ("flat", "file", "nested"):
        assert is_lm_eval_directory(tmp_path / name)
        (record,) = read_lm_eval(tmp_path / name).records
        assert record.evaluations[0].metrics["acc"] == 0.75  # of the samples
    assert not is_lm_eval_directory(tmp_path / "deep")


def test_impossible_results_are_a_fault(tmp_path: Path) -> None:
    write_results(tmp_path, {"ia2_sst2": (task("sst2"), ACC | {"acc,none": 7.5})})
    run = read_lm_eval(tmp_path)
    assert run.records == ()
    assert "ia2_sst2: acc is 7.5, which lies between 0 and 1" in run.faults[0]


def test_a_run_is_no_directory_of_lm_eval(tmp_path: Path) -> None:
    write_results(tmp_path / "evaluated", SST2)
    assert is_lm_eval_directory(tmp_path)
    write_run(tmp_path, [make_record("icl", {"sst2": {"acc": 0.5}})])
    assert not is_lm_eval_directory(tmp_path)
    assert not is_lm_eval_directory(tmp_path / "records")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").write_text("{}")
    assert not is_lm_eval_directory(tmp_path / "other")
