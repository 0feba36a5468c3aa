from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from ia2_eval.commands import INTERRUPTED
from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.questions import spread
from ia2_eval.mtbench.sweeps.grid import Grid, preset_settings
from ia2_eval.mtbench.sweeps.recipe import load_sweep
from ia2_eval.mtbench.sweeps.run import FAILURES, plan_arms, sweep_command
from tests.conftest import heed_interrupts

SIX: dict[str, Any] = {
    "name": "six",
    "model": "embedded",
    "bench": "trial",
    "limit": 4,
    "prompt_sets": ["none"],
    "grid": {"temperature": [0, 1.0, 1.5], "repetition_penalty": [1.0, 1.3], "max_new_tokens": 5},
}


def written(tmp_path: Path, recipe: dict[str, Any]) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def test_a_grid_is_every_combination_that_differs() -> None:
    grid = Grid.model_validate({"temperature": [0, 0.5, 1], "top_p": [0.9, 1], "repetition_penalty": [1, 1.2]})
    expected = {
        (temperature, top_p if temperature else 1.0, penalty)
        for temperature, top_p, penalty in product((0, 0.5, 1), (0.9, 1), (1, 1.2))
    }
    found = grid.settings(samples=3, seed=7)
    assert len(found) == len(expected) == 10 and grid.combinations == 12
    assert {(each.temperature, each.top_p, each.repetition_penalty) for each in found} == expected
    assert {(each.samples, each.seed) for each in found if each.temperature} == {(3, 7)}
    assert {each.samples for each in found if not each.temperature} == {1}


def test_the_scope_of_no_penalty_is_left_out() -> None:
    grid = Grid.model_validate({"repetition_penalty": [1, 1.2], "penalty_scope": ["all", "generated"]})
    assert [each.name for each in grid.settings()] == ["t0", "t0_rp1.2", "t0_rp1.2_scope-generated"]


def test_a_preset_that_samples_gets_samples() -> None:
    assert preset_settings("urial", 3, 5).samples == 1
    assert preset_settings("urial_t1", 3, 5) == DecodingSettings(temperature=1, max_new_tokens=2048, samples=3, seed=5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": {"temperatur": 1}}, "grid.temperatur: unknown key. Did you mean 'temperature'"),
        (
            {"grid": {"temperature": [0, -1]}},
            "grid.temperature.1: must be a number from 0 to 10, or per_category (found -1)",
        ),
        ({"grid": {"top_p": [0.5, 2]}}, "must be less than or equal to 1, not 2"),
        ({"grid": {"top_p": []}}, "is empty"),
        ({"grid": {"top_p": [1, 1]}}, "holds a value twice"),
        ({"grid": None}, "nothing to sweep"),
        ({"presets": ["fastchta"]}, "Did you mean 'fastchat'"),
        ({"presets": ["gpt4_base"]}, "ia2-hf knows no frequency_penalty and no presence_penalty"),
        ({"model": {"bas": "x"}}, "model.bas: unknown key. Did you mean 'base'"),
        ({"limit": 0}, "limit"),
        (
            {"model": {"base": "x", "chat": True}, "prompt_sets": ["default"], "clean_up": "paper"},
            "clean_up paper without",
        ),
        ({"model": {"model_args": {"top_k": 3}}}, "model_args top_k: ia2-hf has no use for it"),
        ({"model": {"backend": "local-chat-completions"}}, "add --chat"),
        ({"judge": {}}, "judge.model: is missing"),
    ],
)
def test_faults_of_a_recipe(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        plan_arms(load_sweep(written(tmp_path, SIX | change)), None)


def test_prompt_sets_that_are_called_alike_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / folder / "set.txt" for folder in ("a", "b")]
    for number, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(f"# Query:\n```\n{number}\n```\n\n# Answer:\n```\n1\n```\n")
    path = written(tmp_path, SIX | {"prompt_sets": [str(file) for file in files]})
    with pytest.raises(UserError, match="several prompt_sets are called set: rename"):
        plan_arms(load_sweep(path), None)


def test_an_out_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*out: File exists"):
        sweep(written(tmp_path, SIX), tmp_path / "out")


def test_two_models_in_directories_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    from ia2_eval.embedded import MODEL_DIRECTORY

    copies = [tmp_path / folder / "checkpoint" for folder in ("a", "b")]
    for copy in copies:
        shutil.copytree(MODEL_DIRECTORY, copy)
    path = written(tmp_path, SIX | {"grid": {"max_new_tokens": 2}, "limit": 1})
    assert sweep(path, tmp_path / "out", base=str(copies[0]))[0] == 0
    before = contents(tmp_path / "out")
    status, said = sweep(path, tmp_path / "out", base=str(copies[1]))
    assert (
        status == 1 and "checkpoint--none--t0_max2 failed" in said and "answers of other settings (model.base" in said
    )
    assert contents(tmp_path / "out") == before


def test_questions_are_taken_from_the_categories_in_turn(trial_bench: Bench) -> None:
    categories = [question.category for question in spread(trial_bench.questions, 8)]
    assert len(set(categories)) == 8
    assert spread(trial_bench.questions, None) == trial_bench.questions
    ten = [question.question_id for question in spread(trial_bench.questions, 10)]
    assert ten == sorted(ten) and len(ten) == 10


def contents(out: Path) -> dict[str, Any]:
    """Of every file that says what was generated, without times."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found[str(path.relative_to(out))] = [
            {name: value for name, value in row.items() if name not in ("tstamp", "attempts")} for row in rows
        ]
    return found


def sweep(path: Path, out: Path, **options: Any) -> tuple[int, str]:
    console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    chosen = {"base": None, "limit": None, "data_dir": None, "device": "cpu", "batch_size": 4, "dry_run": False}
    status = sweep_command(path, out, **(chosen | options), console=console)
    return status, console.export_text()


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, SIX | {"grid": SIX["grid"] | {"top_p": [0.9, 1]}})
    status, said = sweep(path, tmp_path / "out", dry_run=True)
    assert status == 0 and not (tmp_path / "out").exists()
    assert "10 settings, 4 questions, 80 texts" in said
    assert "2 combinations of the grid are left out" in said
    assert "embedded--none--t1_p0.9_rp1.3_max5" in said


def test_a_setting_that_fails_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    path = written(tmp_path, SIX | {"grid": {"max_new_tokens": [5, 9000]}})
    status, said = sweep(path, tmp_path / "out")
    assert status == 1
    assert "1 of 2 failed: embedded--none--t0_max9000" in said
    assert "9000 may be generated, but the model takes 8192" in (tmp_path / "out" / FAILURES).read_text()
    assert list((tmp_path / "out" / "model_answer").iterdir()) == [
        tmp_path / "out" / "model_answer" / "embedded--none--t0_max5.jsonl"
    ]


def texts_in(out: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in out.glob("texts/*.jsonl"))


def stopped(command: list[str], out: Path, texts: int, signal_number: int) -> int:
    """Run in a process of its own until there are so many texts, and send it a signal; its exit status."""
    process = subprocess.Popen(
        command, preexec_fn=heed_interrupts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while texts_in(out) < texts:
            assert process.poll() is None and time.monotonic() < deadline, f"{texts_in(out)} texts, then no more"
            time.sleep(0.01)
        process.send_signal(signal_number)
        return process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


def test_a_sweep_that_was_interrupted_and_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Six settings, ten questions: twice Ctrl-C, once killed without warning, then run to the end."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    grid = SIX["grid"] | {"max_new_tokens": 24}
    path = written(tmp_path, SIX | {"limit": 10, "grid": grid, "judge": "trial"})
    assert sweep(path, whole)[0] == 0
    command = [sys.executable, "-m", "ia2_eval.cli", "mtbench", "sweep", str(path), "--out", str(parts)]
    command += ["--device", "cpu", "--batch-size", "4"]
    assert stopped(command, parts, 10, signal.SIGINT) == INTERRUPTED
    assert stopped(command, parts, 50, signal.SIGINT) == INTERRUPTED
    assert stopped(command, parts, 80, signal.SIGKILL) == -signal.SIGKILL
    assert 80 <= texts_in(parts) < 120
    status, said = sweep(path, parts)
    assert status == 0 and " are there" in said
    assert contents(parts) == contents(whole) and len(contents(whole)) == 6 * 2 + 1
    for name in ("report.csv", "report.md"):
        assert (parts / "report" / name).read_bytes() == (whole / "report" / name).read_bytes()
