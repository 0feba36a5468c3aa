"""Metrics of stored records, computed again."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments import rescore, rescore_report
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.rescore import rescore_run
from ia2_eval.experiments.store import Store
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.version import SCORING_VERSION
from tests.experiments.small_runs import SmallRun
from tests.experiments.small_stores import working

SINGLE, MULTI = "embedded_mood", "embedded_arithmetic"

OLD_ROW = {"prompt_sha256", "prediction", "confidence", "correct", "correct_full_vocab", "log_likelihoods", "gold"}
OLD_METRICS = {
    *("acc", "acc_full_vocab", "ece", "ece_mass", "ece_noise_floor", "brier", "nll", "unparsed", "acc_normalised")
}


def copy(run: SmallRun, to: Path) -> Path:
    """Records and samples of a run, which a test may change."""
    return shutil.copytree(run.store.directory, to / "run", ignore=shutil.ignore_patterns("adapters", "targets"))


@pytest.fixture
def run(calibrated_run: SmallRun, tmp_path: Path) -> Path:
    return copy(calibrated_run, tmp_path)


def rescored(directory: Path) -> tuple[int, str]:
    """Exit status, and what was said."""
    console = Console(file=io.StringIO(), width=400)
    status = rescore_run(directory, console)
    return status, console.file.getvalue()  # type: ignore[attr-defined]


def files(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob("*.json*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def records(directory: Path) -> dict[str, Record]:
    found = (Store(directory).record(path.stem) for path in (directory / "records").glob("*.json"))
    return {record.cell.label: record for record in found if record}


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a record, which has no digest then, as early ones have none, or every row of a file of samples."""
    lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
    contents = [json.loads(line) for line in lines]
    for content in contents:
        content.pop("digest", None)
    path.write_text("".join(json.dumps(change(content)) + "\n" for content in contents))


def edit_evaluations(directory: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    for path in (directory / "records").glob("*.json"):
        edit(path, lambda record: record | {"evaluations": [change(each) for each in record["evaluations"]]})


@pytest.mark.parametrize("name", ["strict_run", "paper_run", "ood_run", "calibrated_run"])
def test_a_fresh_run_reproduces_exactly(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fresh: SmallRun = request.getfixturevalue(name)
    directory = copy(fresh, tmp_path)
    before = files(directory)
    assert {e.scoring_version for record in fresh.records for e in record.evaluations} == {SCORING_VERSION}
    assert rescored(directory) == (
        0,
        f"{len(fresh.records)} records reproduce exactly; scoring version {SCORING_VERSION}\n",
    )
    assert files(directory) == before


def as_of_old(directory: Path) -> None:
    """As runs left it before records told the version of scoring."""
    for path in (directory / "samples").rglob("*.dev.jsonl"):
        path.unlink()

    def old_row(row: dict[str, Any]) -> dict[str, Any]:
        row = {name: value for name, value in row.items() if name in OLD_ROW}
        return row if row["log_likelihoods"] else row | {"confidence": None}

    def old_evaluation(evaluation: dict[str, Any]) -> dict[str, Any]:
        names = OLD_METRICS if evaluation["eval"] != MULTI else {"acc", "unparsed"}
        for numbers in ("metrics", "intervals"):
            evaluation[numbers] = {name: value for name, value in evaluation[numbers].items() if name in names}
        added = {"scoring_version", "dev_samples"}
        return {name: value for name, value in evaluation.items() if name not in added}

    for path in (directory / "samples").rglob("*.jsonl"):
        edit(path, old_row)
    edit_evaluations(directory, old_evaluation)


@pytest.mark.parametrize("name", ["strict_run", "paper_run", "ood_run"])
def test_a_run_of_old_loses_nothing_and_gains_what_its_rows_tell(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fresh: SmallRun = request.getfixturevalue(name)
    directory = copy(fresh, tmp_path)
    as_of_old(directory)
    old, rows = records(directory), {name: found for name, found in files(directory).items() if "samples" in name}
    status, said = rescored(directory)
    assert status == 0 and "kept" not in said
    assert f"{len(old)} records reproduce exactly" in said and re.search(r"new, .*: .*auroc \(\d+\)", said)
    for label, record in records(directory).items():
        for before, after in zip(old[label].evaluations, record.evaluations, strict=True):
            assert (before.scoring_version, after.scoring_version) == (1, SCORING_VERSION)
            assert after.metrics.items() >= before.metrics.items()
            assert after.intervals.items() >= before.intervals.items()
            assert ("mce" in after.metrics) == (after.eval != MULTI)
            assert (after.n, after.notes, after.samples) == (before.n, before.notes, before.samples)
        assert record.provenance == old[label].provenance
    assert {name: found for name, found in files(directory).items() if "samples" in name} == rows
    assert rescored(directory) == (
        0,
        f"{len(old)} records reproduce exactly; scoring version {SCORING_VERSION}\n",
    )


def parse_all(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str | None]) -> None:
    """As if a parser had been mended, in the next version of scoring."""
    fixed = replace(ANSWER_FORMATS["hash_line"], read=change, locate=lambda text: slice(0, len(text)))
    monkeypatch.setitem(ANSWER_FORMATS, "hash_line", fixed)
    for module in (rescore, rescore_report):
        monkeypatch.setattr(module, "SCORING_VERSION", SCORING_VERSION + 1)


def test_a_mended_parser_changes_the_records_which_say_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rows_before = records(run), files(run)
    parse_all(monkeypatch, lambda text: "1")
    status, said = rescored(run)
    assert status == 0
    for label, record in records(run).items():
        (old,), (new,) = before[label].evaluations, record.evaluations
        assert new.scoring_version == SCORING_VERSION + 1
        if new.eval == SINGLE:
            assert new.model_copy(update={"scoring_version": SCORING_VERSION}) == old
            assert files(run)[new.samples] == rows_before[new.samples]
            continue
        assert (new.metrics["acc"], new.metrics["unparsed"]) == (1.0, 0.0)
        rows = [json.loads(line) for line in files(run)[new.samples].splitlines()]
        assert all(row["correct"] and row["agreement"] == 1.0 for row in rows)
        if old.metrics["acc"] < 1:
            line = next(line for line in said.splitlines() if line.startswith(label) and " acc " in line)
            assert line.split()[-2:] == [f"{old.metrics['acc']:.6g}", "1"]
    assert f"scoring version {SCORING_VERSION + 1}" in said and " changed" in said
    assert "files of rows were rewritten\n" in said and f"ia2-eval leaderboard build {run}\n" in said
    assert files(run)["plan.json"] == rows_before["plan.json"]


def test_what_became_undefined_is_dropped(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer can be read any more, so none has a confidence."""
    before = records(run)
    parse_all(monkeypatch, lambda text: None)
    status, said = rescored(run)
    assert status == 0 and "kept" not in said
    label = "embedded_arithmetic N=4 seed 0 icl"
    (old,), (new,) = before[label].evaluations, records(run)[label].evaluations
    lost = {name for name in old.metrics if "agreement" in name}
    assert lost and new.metrics.keys() == old.metrics.keys() - {*lost, "auroc"}
    for name in lost:
        assert re.search(rf"^{label} +{MULTI} +{name} .* undefined$", said, re.MULTILINE)


def test_what_rows_never_told_is_kept_and_reported(run: Path) -> None:
    """A metric of another program, and one that needs what these rows have lost."""

    def with_judgement(evaluation: dict[str, Any]) -> dict[str, Any]:
        evaluation["metrics"]["judged"] = 0.25
        evaluation["intervals"]["judged"] = [0.125, 0.5]
        return evaluation

    before = records(run)
    edit_evaluations(run, with_judgement)
    for path in (run / "samples").rglob(f"{SINGLE}.jsonl"):
        edit(path, lambda row: row | {"next_token": None})
    status, said = rescored(run)
    assert status == 0
    kept = "acc_published (3), ece_published (3), entropy_published (3), judged (6)"
    assert f"kept, as the rows do not yield them, with the number of evaluations: {kept}\n" in said
    assert "6 records reproduce exactly" in said
    for label, record in records(run).items():
        (old,), (new,) = before[label].evaluations, record.evaluations
        assert new.metrics == old.metrics | {"judged": 0.25}
        assert new.intervals == old.intervals | {"judged": (0.125, 0.5)}


def test_last_digits_are_no_change(run: Path) -> None:
    def shaken(evaluation: dict[str, Any]) -> dict[str, Any]:
        evaluation["metrics"] = {name: value * (1 + 1e-13) for name, value in evaluation["metrics"].items()}
        return evaluation

    before = records(run)
    edit_evaluations(run, shaken)
    assert rescored(run) == (0, f"0 records reproduce exactly, 6 up to rounding; scoring version {SCORING_VERSION}\n")
    assert records(run) == before


def test_rows_that_are_rewritten_and_change_no_metric(run: Path) -> None:
    path = sorted(run.glob(f"samples/*/{SINGLE}.jsonl"))[0]
    before = path.read_bytes()
    edit(path, lambda row: row | {"confidence": row["confidence"] / 2})
    status, said = rescored(run)
    assert status == 0 and path.read_bytes() == before
    assert "1 file of rows was rewritten, though no metric is another now\n6 records reproduce exactly" in said
    assert "leaderboard build" not in said


@pytest.mark.parametrize("failing", ["write_record", "write_rows"])
def test_rescoring_again_mends_what_an_interruption_left(
    failing: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With answers that cannot be read any more: what is dropped then must not come back as kept."""
    whole = shutil.copytree(run, tmp_path / "whole")
    parse_all(monkeypatch, lambda text: None)
    rescored(whole)

    def killed(self: Store, *_: object) -> None:
        raise KeyboardInterrupt

    for survivors in range(2):
        write, calls = getattr(Store, failing), [survivors]

        def sometimes(self: Store, *arguments: Any, write: Any = write, calls: Any = calls) -> Any:
            calls[0] -= 1
            return killed(self) if calls[0] < 0 else write(self, *arguments)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Store, failing, sometimes)
            rescored(run)
        assert files(run) != files(whole)
    assert rescored(run)[0] == 0
    assert files(run) == files(whole)


def damage_record(directory: Path) -> str:
    path = sorted((directory / "records").glob("*.json"))[0]
    path.write_bytes(path.read_bytes()[:-20])
    return rf"records/{path.name}: .*line \d+ column"


def change_by_hand(directory: Path) -> str:
    path = sorted((directory / "records").glob("*.json"))[0]
    path.write_text(re.sub(r'"acc": [0-9.]+', '"acc": 0.987654321', path.read_text(), count=1))
    return f"records/{path.name}: its content does not fit its digest: it was altered"


def newer_schema(directory: Path) -> str:
    path = sorted((directory / "records").glob("*.json"))[0]
    edit(path, lambda record: record | {"schema_version": 9})
    return f"records/{path.name}: schema version 9, this ia2-eval knows versions up to 1: update ia2-eval"


def newer_scoring(directory: Path) -> str:
    edit_evaluations(directory, lambda each: each | {"scoring_version": 9} if each["eval"] == MULTI else each)
    return f"{MULTI}: scoring version 9, this ia2-eval knows versions up to {SCORING_VERSION}: update ia2-eval"


def lose_samples(directory: Path) -> str:
    path = sorted(directory.glob(f"samples/*/{MULTI}.jsonl"))[0]
    path.unlink()
    samples = path.relative_to(directory).as_posix()
    return rf"records/{path.parent.name}.json, {MULTI}: {samples}: No such file or directory$"


def lose_a_row(directory: Path) -> str:
    path = sorted(directory.glob(f"samples/*/{MULTI}.jsonl"))[0]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    return f"samples/{path.parent.name}/{MULTI}.jsonl: 11 rows, but the record counts 12 examples"


def cut_a_row(directory: Path) -> str:
    path = sorted(directory.glob(f"samples/*/{MULTI}.jsonl"))[0]
    path.write_text(path.read_text()[:-20])
    return f"samples/{path.parent.name}/{MULTI}.jsonl, line 12: Invalid JSON"


def lose_dev_rows(directory: Path) -> str:
    path = sorted(directory.glob(f"samples/*/{SINGLE}.dev.jsonl"))[0]
    path.unlink()
    samples = path.relative_to(directory).as_posix()
    return rf"records/{path.parent.name}.json, {SINGLE}: {samples}: No such file or directory$"


def another_label(directory: Path) -> str:
    path = sorted(directory.glob(f"samples/*/{SINGLE}.jsonl"))[0]
    edit(path, lambda row: row | {"gold": "sideways"})
    return rf"records/{path.parent.name}.json, {SINGLE}: .*'sideways'"


@pytest.mark.parametrize(
    "damage",
    [
        *(damage_record, change_by_hand, newer_schema, newer_scoring),
        *(lose_samples, lose_a_row, cut_a_row, lose_dev_rows, another_label),
    ],
)
def test_files_that_cannot_be_used_are_named_and_left_alone(damage: Callable[[Path], str], run: Path) -> None:
    fault = damage(run)
    before = files(run)
    status, said = rescored(run)
    assert status == 1
    faults = 3 if damage is newer_scoring else 1
    assert len(re.findall(rf"^not used: .*{fault}", said, re.MULTILINE)) == faults
    assert f"{6 - faults} records reproduce exactly" in said and "could not be used" in said
    assert files(run) == before


def test_failed_cells_have_nothing_to_rescore(run: Path) -> None:
    store, record = Store(run), next(iter(records(run).values()))
    failed = record.model_copy(update={"status": "failed", "error": "Traceback", "evaluations": ()})
    store.write_record(failed)
    status, said = rescored(run)
    assert status == 0 and "5 records reproduce exactly, 1 failed cell has no metrics" in said
    assert store.record(failed.key) == failed


def test_not_while_a_run_is_going_on(run: Path) -> None:
    with working(run), pytest.raises(UserError, match=r"run' is running \(.*, process \d+\): try again when that has"):
        rescored(run)
    assert rescored(run)[0] == 0  # it has ended, without a word


def test_a_directory_without_records(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no records/\*\.json"):
        rescored(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_no_model_is_needed(run: Path) -> None:
    """Nor what loads one: torch comes with netcal only, when the reported calibration error is computed."""
    code = """
import sys
from pathlib import Path
from rich.console import Console
from ia2_eval.experiments.rescore import rescore_run
heavy = {"torch", "transformers", "lm_eval", "peft", "datasets"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert rescore_run(Path(sys.argv[1]), Console()) == 0
assert not heavy - {"torch"} & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)
