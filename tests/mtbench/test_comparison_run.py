"""Whole comparisons of the embedded model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import ia2_training
import pytest
import yaml
from rich.console import Console

from ia2_eval.commands import INTERRUPTED
from ia2_eval.errors import UserError
from ia2_eval.mtbench.comparison import commands, training
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.layout import Layout

RECIPE: dict[str, Any] = {
    "name": "small",
    "model": "embedded",
    "data": "embedded:arithmetic",
    "n": [2, 3],
    "seeds": [0],
    "methods": ["no_icl", "icl", "ia2_sft", "sft", "ia2"],
    "training": {"learning_rate": 0.01, "epochs": 1, "target_tokens": 4, "dev": 1},
    "bench": "trial",
    "limit": 2,
    "decoding": {"max_new_tokens": 4},
    "held_out": 3,
}
ARMS = ["no_icl", *(f"{method}_n{n}_s0" for method in ("icl", "ia2_sft", "sft", "ia2") for n in (2, 3))]


@pytest.fixture(autouse=True)
def one_model(monkeypatch: pytest.MonkeyPatch, embedded_model: OpenModel) -> None:
    monkeypatch.setattr(commands, "open_model", lambda *arguments: embedded_model)


def compare(out: Path, dry_run: bool = False, judge: str | None = None, **changes: Any) -> tuple[int, str]:
    """Exit status and what was printed."""
    recipe = out.parent / f"{out.name}.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE | changes))
    console = Console(record=True, width=300, file=io.StringIO())
    settings = JudgeSettings(model=judge) if judge else None
    status = commands.compare_command(recipe, out, None, "cpu", None, dry_run, console, settings)
    return status, console.export_text()


def content(out: Path) -> dict[str, bytes]:
    """What must not differ between two runs; times are left out."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.suffix in (".jsonl", ".json") and not name.startswith(("model_judgment", "comparison", "adapters")):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            rows = [json.loads(line) for line in lines]
            found[name] = json.dumps(
                [{k: v for k, v in r.items() if k not in ("tstamp", "seconds")} for r in rows]
            ).encode()
        elif path.suffix in (".safetensors", ".csv", ".png"):
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, embedded_model: OpenModel) -> Path:
    """A comparison that was never interrupted."""
    out = tmp_path_factory.mktemp("comparison") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "open_model", lambda *arguments: embedded_model)
        assert compare(out)[0] == 0
    return out


def test_every_arm_leaves_answers_a_record_and_its_adapter(whole: Path) -> None:
    layout = Layout(whole)
    assert set(layout.model_ids()) == set(ARMS)
    assert {path.name for path in (whole / "adapters").iterdir()} == {arm for arm in ARMS if arm[:3] in ("sft", "ia2")}
    for arm in ARMS:
        record = json.loads((whole / "arms" / f"{arm}.json").read_text())
        assert record["status"] == "done" and len(record["held_out"]) == 3
        assert (json.loads(layout.settings(arm).read_text())["adapter"] is None) == (arm[:3] not in ("sft", "ia2"))
    for name in ("comparison.csv", "comparison.md", "score_vs_n.png", "score_vs_n.svg"):
        assert (whole / name).stat().st_size > 0


def test_trained_models_do_not_answer_as_the_base_does(whole: Path) -> None:
    likelihoods = {arm: json.loads((whole / "arms" / f"{arm}.json").read_text())["held_out"] for arm in ARMS}
    assert len({tuple(values) for values in likelihoods.values()}) == len(ARMS)


def test_trainings_leave_the_base_as_it_was(whole: Path, tmp_path: Path) -> None:
    """Arms that train nothing give the same before and after others were trained on the very same model."""
    out = tmp_path / "after"
    assert compare(out, methods=["no_icl", "icl"])[0] == 0
    before, after = content(whole), content(out)
    arms = {name for name in after if name.startswith(("arms/", "model_answer/"))}
    assert len(arms) == 6 and {name: before[name] for name in arms} == {name: after[name] for name in arms}


def test_a_complete_comparison_trains_and_generates_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(whole)
    monkeypatch.setattr(training, "training_examples", None)
    monkeypatch.setattr("ia2_eval.mtbench.comparison.run.generate_answers", None)
    assert compare(whole)[0] == 0
    assert content(whole) == before


def test_an_interrupted_comparison_and_one_with_failures_end_as_a_whole_one(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt, calls = ia2_training.adapt, []

    def faulty(*arguments: Any, **settings: Any) -> Any:
        calls.append(settings["method"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        if len(calls) == 4:
            raise ValueError("out of luck")
        return adapt(*arguments, **settings)

    monkeypatch.setattr(ia2_training, "adapt", faulty)
    out, arms = tmp_path / "faulty", {"methods": ["no_icl", "ia2_sft", "sft", "ia2"], "n": [2]}
    status, said = compare(out, **arms)
    assert status == INTERRUPTED and "the same command continues" in said
    status, said = compare(out, **arms)
    assert status == 1 and "ValueError: out of luck" in said
    failed = [path for path in (out / "arms").iterdir() if json.loads(path.read_text())["status"] == "failed"]
    assert len(failed) == 1 and failed[0].stem in said
    assert compare(out, **arms)[0] == 0
    assert len(calls) == 5  # three trainings, of which two were tried twice
    expected, found = content(whole), content(out)
    names = {name for name in expected if "no_icl" in name or ("_n2_" in name and "icl_n2" not in name)}
    assert len(names) > 12 and {name for name in names if expected[name] != found.get(name)} == set()


def test_phases_go_on_from_the_adapter_of_before(whole: Path, tmp_path: Path) -> None:
    """`ia2_sft` alone trains both phases, with the same result as on top of `ia2`."""
    out = tmp_path / "alone"
    assert compare(out, methods=["ia2_sft"], n=[2])[0] == 0
    name = "adapters/ia2_sft_n2_s0/adapter_model.safetensors"
    assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_arms_can_be_added_and_the_judge_too(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    assert compare(out, methods=["no_icl"])[0] == 0
    status, said = compare(out, methods=["no_icl", "icl"], n=[1], judge="trial")
    assert status == 0 and "judges nothing" in said
    lines = (out / "comparison.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"no_icl", "icl"}
    assert any(",score,2,trial," in line for line in lines)
    left_out = "arms of earlier runs that this recipe does not ask for are not shown: "
    assert left_out not in said
    said = compare(out, methods=["no_icl"], n=[2])[1]
    assert left_out + "icl_n1_s0\n" in said
    assert left_out.strip() in (out / "comparison.md").read_text() and "icl" in (out / "comparison.md").read_text()
    assert {line.split(",")[0] for line in (out / "comparison.csv").read_text().splitlines()[1:]} == {"no_icl"}


def test_another_comparison_in_the_same_place_is_refused(whole: Path) -> None:
    with pytest.raises(UserError, match=r"recipe.decoding.max_new_tokens: 4 -> 5\n.*another --out") as refused:
        compare(whole, decoding={"max_new_tokens": 5}, n=[5])
    assert "recipe.n" not in str(refused.value)
    with pytest.raises(UserError) as refused_dry:
        compare(whole, dry_run=True, decoding={"max_new_tokens": 5}, n=[5])
    assert str(refused_dry.value) == str(refused.value)


def test_a_dry_run_over_a_comparison_writes_nothing(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    status, said = compare(whole, dry_run=True, n=[3], methods=["icl"])
    assert status == 0 and "1 arms on 2 questions" in said
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_what_does_not_fit_is_skipped_with_numbers(tmp_path: Path) -> None:
    out = tmp_path / "long"
    methods = ["no_icl", "icl", "ia2"]
    decoding = {"max_new_tokens": 1000}
    status, said = compare(out, dry_run=True, methods=methods, n=[2, 550], decoding=decoding)
    assert status == 0 and not out.exists()
    assert "icl_n550_s0 will be skipped" in said and "8192" in said
    assert "ia2_n550_s0 will be skipped: the teacher's longest prompt of" in said
    assert "3 arms on 2 questions: 1 trainings, 12 texts, 0 judge calls" in said
    status, said = compare(out, methods=["no_icl", "icl"], n=[550])
    reason = "icl_n550_s0 skipped: the prompt set 'icl_n550_s0' does not fit: it has"
    assert status == 0 and reason in said
    assert "icl_n550_s0 skipped" in (out / "comparison.md").read_text().replace("\\", "")


@pytest.mark.parametrize("name", ["arms", "comparison.csv"])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    (out / "comparison.csv").mkdir(parents=True)
    if name == "arms":
        (out / name).touch()
    with pytest.raises(UserError, match=rf"cannot write .*{'arms' if name == 'arms' else 'out'}.*: .*what was there"):
        compare(out, methods=["no_icl"], n=[1], held_out=0)


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no arm can be run:\n  icl_n550_s0: .*8192"):
        compare(tmp_path / "none", methods=["icl"], n=[550])
