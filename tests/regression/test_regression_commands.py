"""The gate from the command line, with the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import ia2_training.losses
import pytest
from typer.testing import CliRunner, Result

import ia2_eval.experiments.provenance as provenance_module
import ia2_eval.regression.create as create_module
from ia2_eval.cli import app
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.errors import UserError
from ia2_eval.experiments.provenance import changed_files
from ia2_eval.experiments.recipe import load_recipe
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.regression.reference import load_reference

RECIPE = """
name: tiny
base: embedded
benchmarks: [{source: embedded_time, n: 4}]
seeds: [0, 1]
methods: [no_icl, icl, sft, ia2]
learning_rates: [3.0e-3]
epochs: 3
limit: 12
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def edit_record(path: Path, changes: dict[str, str]) -> None:
    """Replace texts in a record, which has no digest then, as early ones have none."""
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(json.dumps({name: value for name, value in json.loads(text).items() if name != "digest"}))


def clean(patch: pytest.MonkeyPatch, commit: str = "c" * 40) -> None:
    """As if all code were committed."""
    patch.setattr(create_module, "changed_files", list)
    for module in (create_module, provenance_module):
        patch.setattr(module, "git_state", lambda: (commit, False))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("gate")
    (directory / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        clean(patch)
        result = run("reference", "create", directory / "recipe.yaml", "--out", directory / "tiny")
    assert result.exit_code == 0, result.output
    return directory / "tiny"


def test_a_reference_has_what_a_comparison_needs(reference: Path) -> None:
    loaded = load_reference(reference)
    stored = loaded.manifest.stored
    cells = {record.key: record.cell for record in loaded.run.records}
    assert len(cells) == 1 + 2 + 4
    assert sorted((cells[key].method, cells[key].seed) for key in stored) == [("ia2", 0), ("sft", 0)]
    assert sorted(path.name for path in (reference / "adapters").iterdir()) == sorted(stored)
    config = json.loads((reference / "adapters" / stored[0] / "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] == "embedded"
    samples = (sample for record in loaded.run.records for sample in loaded.run.samples(record.evaluations[0]))
    assert {sample.next_token for sample in samples} == {None}
    assert not (reference / ".lock").exists() and not (reference / "unfinished.json").exists()
    assert loaded.manifest.git_commit == "c" * 40
    (base,) = {record.cell.base for record in loaded.run.records}
    assert load_recipe(reference / "recipe.yaml").base == base and base.fingerprint


def test_nothing_has_changed(reference: Path, tmp_path: Path) -> None:
    result = run("regress", reference, "--junit", tmp_path / "junit.xml", "--out", tmp_path / "rerun")
    assert result.exit_code == 0, result.output
    assert "compared bit by bit" in result.output
    assert "PASS        stored adapter · Time N=4 IA2" in result.output
    assert result.output.rstrip().rpartition("\n")[2].startswith("pass: 6 pass, 0 regression, 0 cannot tell")
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suites.get("tests") == "6" and suites.get("failures") == suites.get("errors") == "0"

    results = run("regress", reference, "--results", tmp_path / "rerun" / "retrained")
    assert "compared by intervals, since rounding may differ: the results were not made here" in results.output
    lines = [line.split(" · ")[0] for line in results.output.splitlines() if " · " in line]
    assert "PASS        base" in lines  # log-likelihoods agree
    assert "CANNOT TELL retrained" in lines  # 24 answers are too few for an interval
    assert results.exit_code == 2


def test_a_broken_loss_is_caught(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ia2_training.losses.distance_per_example
    monkeypatch.setattr(ia2_training.losses, "distance_per_example", lambda *args, **kw: right(*args, **kw) / 4)
    result = run("regress", reference)
    assert result.exit_code == 1, result.output
    caught = [line for line in result.output.splitlines() if line.startswith("REGRESSION")]
    assert len(caught) == 1 and "retrained · Time N=4 IA2" in caught[0]
    assert "2 of 2 trainings went differently" in caught[0]


def test_a_changed_benchmark_cannot_be_told(reference: Path, tmp_path: Path) -> None:
    """As if the reference had been made of other data: other prompts, another fingerprint."""
    copy = tmp_path / "reference"
    shutil.copytree(reference, copy)
    run_there = read_run(copy)
    for path in (copy / "records").glob("*.json"):
        path.unlink()
    (copy / "plan.json").unlink()
    for record in run_there.records:
        cell = record.cell.model_copy(update={"data": "0" * 64})
        changed = record.model_copy(update={"cell": cell, "key": cell.key})
        (copy / "records" / f"{cell.key}.json").write_text(changed.model_dump_json(), encoding="utf-8")
        samples = copy / record.evaluations[0].samples
        rows = [json.loads(line) | {"prompt_sha256": "0" * 64} for line in samples.read_text().splitlines()]
        samples.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run("regress", copy)
    assert result.exit_code == 2, result.output
    assert "another version of the benchmark: 12 of 12 prompts differ" in result.output


def test_a_reference_is_not_made_of_code_that_nobody_can_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create_module, "changed_files", lambda: ["ia2_eval/cli.py"])
    with pytest.raises(UserError, match=r"not committed \(ia2_eval/cli.py\): commit them"):
        run_refused("reference", "create", "demo", "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_reference_is_not_overwritten(reference: Path) -> None:
    with pytest.raises(UserError, match="is a reference already"):
        run_refused("reference", "create", "demo", "--out", reference)


def test_a_reference_is_of_one_version_of_the_code(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun with a commit and settings goes on with these only."""
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    create = ("reference", "create", tmp_path / "recipe.yaml", "--out", tmp_path / "new")
    monkeypatch.setattr(create_module, "run_recipe", lambda *_: 130)
    clean(monkeypatch)
    assert run(*create).exit_code == 130
    clean(monkeypatch, commit="d" * 40)
    with pytest.raises(UserError, match="was begun with other code, versions or settings"):
        run_refused(*create)
    clean(monkeypatch)
    with pytest.raises(UserError, match="was begun with other code, versions or settings"):
        run_refused(*create, "--batch-size", 8)

    shutil.copytree(reference / "records", tmp_path / "new" / "records")
    monkeypatch.setattr(create_module, "run_recipe", lambda *_: 0)
    record = next((tmp_path / "new" / "records").iterdir())
    edit_record(record, {"c" * 40: "e" * 40})
    with pytest.raises(UserError, match=rf"1 of 7 records of .* were made by other code .*\(records/{record.name}\)"):
        run_refused(*create)
    edit_record(record, {"e" * 40: "c" * 40, '"git_dirty": false': '"git_dirty": true'})
    with pytest.raises(UserError, match="1 of 7 records of"):
        run_refused(*create)
    (tmp_path / "new" / "unfinished.json").unlink()
    with pytest.raises(UserError, match="has results that `reference create` did not make"):
        run_refused(*create)


def test_what_changed_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_module, "CHECKOUT", tmp_path)
    assert changed_files() == []  # an installed package is in no checkout
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for folder in ("ia2_eval", "leaderboards"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "new.txt").write_text("x")
    assert changed_files() == ["ia2_eval/"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "absent", "there is no reference '.*absent'"),
        (lambda path: path, "has no reference.json"),
    ],
)
def test_no_reference(tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(UserError, match=message):
        run_refused("regress", make(tmp_path))


def test_damaged_references_are_named(reference: Path, tmp_path: Path) -> None:
    shutil.copytree(reference, tmp_path / "copy")
    next((tmp_path / "copy" / "records").glob("*.json")).write_text("{")
    with pytest.raises(UserError, match=r"is damaged:\n  records/"):
        run_refused("regress", tmp_path / "copy")
    (tmp_path / "copy" / "reference.json").write_text("{}")
    with pytest.raises(UserError, match=r"reference.json: git_commit: Field required"):
        run_refused("regress", tmp_path / "copy")


def test_results_of_earlier_code_do_not_count(reference: Path, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    with pytest.raises(UserError, match="is not empty: results of other code must not count"):
        run_refused("regress", reference, "--out", tmp_path)


def test_adapters_that_cannot_be_used_are_not_trained_anew(reference: Path, tmp_path: Path) -> None:
    """As where Git LFS left a pointer."""
    shutil.copytree(reference, tmp_path / "copy")
    (path, *_) = (tmp_path / "copy" / "adapters").glob("*/*.safetensors")
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match=f"adapters/{path.parent.name}: no usable adapter"):
        run_refused("regress", tmp_path / "copy")


def test_another_base_model_is_refused_before_anything_runs(reference: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL_DIRECTORY, model)
    config = json.loads((model / "config.json").read_bytes())
    (model / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    with pytest.raises(UserError, match=r"has the fingerprint '.*', the reference's has '.*'"):
        run_refused("regress", reference, "--base", model)


def test_options_that_would_say_nothing(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--results runs nothing: leave out --out"):
        run_refused("regress", reference, "--results", tmp_path, "--device", "cpu")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"--out '.*file' is a file"):
        run_refused("regress", reference, "--out", tmp_path / "file")
    with pytest.raises(UserError, match=r"--junit '.*' is a directory"):
        run_refused("regress", reference, "--junit", tmp_path)


def test_a_terminal_without_arrows(reference: Path) -> None:
    """A character that it cannot show must not end with 1, as a regression does."""
    done = subprocess.run(
        [sys.executable, "-m", "ia2_eval.cli", "regress", str(reference), "--results", str(reference)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "base ? Time no ICL" in done.stdout


def run_refused(*arguments: object) -> None:
    exception = run(*arguments).exception
    assert exception is not None
    raise exception
