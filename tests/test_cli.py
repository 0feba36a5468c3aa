from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ia2_training.adapters import Ia3Adapter, LoraAdapter

from ia2_eval import __version__, cli
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.leaderboard.results.lm_eval_files import read_lm_eval
from ia2_eval.lm.base_model import Base, locate
from ia2_eval.shipped import TASKS_DIRECTORY
from tests.adapters.small_adapters import store
from tests.benchmarks.hub_rows import write_hub_rows
from tests.experiments.small_runs import small_recipe

HEAVY = ("torch", "transformers", "lm_eval", "netcal", "peft", "datasets", "pandas", "matplotlib", "fastchat", "ray")
COMMANDS = ("run", "evaluate", "rescore", "demo", "data", "leaderboard", "embedded", "lm-eval")


def call(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """`ia2-eval ARGUMENTS` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["ia2-eval", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("IA2_DATA_DIR", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return 0 if ended.value.code is None else int(ended.value.code)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    content = small_recipe(methods=["icl", "sft"], epochs=1, limit=4).model_dump(mode="json")
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def described(*arguments: str) -> tuple[str, list[str], float]:
    """What `ia2-eval ARGUMENTS` prints in a fresh process, the heavy modules it imports, and its CPU seconds."""
    code = (
        "import json, sys, time, ia2_eval.cli\n"
        "try: ia2_eval.cli.main()\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([found, time.process_time()]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    modules, seconds = json.loads(done.stderr.splitlines()[-1])
    return done.stdout, modules, seconds


def test_help_lists_the_commands_at_once() -> None:
    said, modules, seconds = described("--help")
    listed = {line.split()[0] for line in said.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed >= set(COMMANDS)
    assert modules == []
    assert seconds < 0.5


@pytest.mark.parametrize(
    "command", ["--version", "run --help", "evaluate --help", "embedded path", "data list embedded_mood"]
)
def test_small_commands_import_nothing_heavy(command: str) -> None:
    said, modules, _ = described(*command.split())
    assert modules == []
    if command == "--version":
        assert said.strip() == __version__
    if command == "embedded path":
        assert Path(said.strip()) == MODEL_DIRECTORY


def test_a_mistake_of_the_user_is_a_message_and_status_2(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace("name:", "nam:"))
    done = subprocess.run(
        [sys.executable, "-m", "ia2_eval.cli", "run", str(recipe), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and "Did you mean 'name'" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dmo").mkdir()
    assert call("run", "dmo", "--out", "out", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "there is no recipe 'dmo'" in said and "Did you mean 'demo'?" in said


def test_a_shipped_recipe_by_name_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert call("run", "demo", "--out", "out", "--dry-run", monkeypatch=monkeypatch) == 0
    assert "(90 adapters)" in capsys.readouterr().out  # 3 benchmarks x 5 seeds x 2 learning rates x 3 methods
    assert not (tmp_path / "out").exists()


def test_out_is_a_file(recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", recipe, "--out", recipe, monkeypatch=monkeypatch) == 2
    assert "is a file" in capsys.readouterr().err


def test_run_then_leaderboard(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    plan = ("run", recipe, "--out", out, "--device", "cpu", "--limit", "3", "--batch-size", "2")
    assert call(*plan, "--dry-run", monkeypatch=monkeypatch) == 0
    assert "2 cells (1 adapters), 0 of them done" in capsys.readouterr().out
    assert not out.exists()

    assert call(*plan, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().err
    assert "[1/2] embedded_mood N=4 seed 0 icl: embedded_mood acc" in said
    assert "[2/2] embedded_mood N=4 seed 0 sft lr 0.01: embedded_mood acc" in said
    rows = [path.read_text().count("\n") for path in out.glob("samples/*/*.jsonl")]
    assert rows == [3, 3]
    assert yaml.safe_load((out / "recipe.yaml").read_text())["limit"] == 3

    assert call("leaderboard", "build", out, monkeypatch=monkeypatch) == 0
    assert "embedded_mood" in (out / "leaderboard.csv").read_text()
    assert list(out.glob("plots/**/*.png"))
    assert "Mood" in capsys.readouterr().out

    record = min(out.glob("records/*.json"))
    record.write_text("{")
    assert call(*plan, "--dry-run", monkeypatch=monkeypatch) == 0
    assert "1 of them done" in capsys.readouterr().out
    assert record.read_text() == "{"  # a dry run touches nothing
    assert call(*plan, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().err
    assert f"set aside a damaged record as {record}.damaged" in said
    assert "[2/2] " in said and "[1/2] " not in said
    assert call(*plan, monkeypatch=monkeypatch) == 0
    assert "2 of them done" in capsys.readouterr().err


def test_a_failed_cell_is_status_1(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = Evaluator.evaluate

    def failing(self: Evaluator, cell: object, model: object) -> object:
        if cell.method == "icl":  # type: ignore[attr-defined]
            raise ValueError("a fault on purpose")
        return evaluate(self, cell, model)  # type: ignore[arg-type]

    monkeypatch.setattr(Evaluator, "evaluate", failing)
    assert call("run", recipe, "--out", tmp_path / "out", "--device", "cpu", monkeypatch=monkeypatch) == 1
    said = capsys.readouterr().err
    assert "failed: embedded_mood N=4 seed 0 icl: ValueError: a fault on purpose" in said
    assert "1 of 2 cells failed" in said and "with --retry-failed to try them once more" in said
    assert "[2/2] embedded_mood N=4 seed 0 sft" in said


def test_another_base(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(content | {"base": {"model": "some/model", "revision": "r", "dtype": "bfloat16"}}))
    out = tmp_path / "out"
    arguments = ("run", recipe, "--out", out, "--device", "cpu")
    assert call(*arguments, "--base", "embedded", monkeypatch=monkeypatch) == 0
    kept = yaml.safe_load((out / "recipe.yaml").read_text())["base"]
    assert (kept["model"], kept["revision"], kept["dtype"]) == ("embedded", None, "float32")
    assert call(*arguments, "--base", MODEL_DIRECTORY, "--limit", "1", monkeypatch=monkeypatch) == 0
    kept = yaml.safe_load((out / "recipe.yaml").read_text())["base"]
    assert (kept["model"], kept["revision"], kept["dtype"]) == (str(MODEL_DIRECTORY), None, "bfloat16")


def test_a_dry_run_downloads_no_weights(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(MODEL_DIRECTORY)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    arguments = ("run", recipe, "--out", tmp_path / "out", "--base", "some/model", "--dry-run")
    assert call(*arguments, monkeypatch=monkeypatch) == 0
    assert asked == [["config.json"]]


def test_a_device_that_is_not_there(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", recipe, "--out", tmp_path / "out", "--device", "gpu", monkeypatch=monkeypatch) == 2
    assert "error: cannot use the device 'gpu'" in capsys.readouterr().err


def test_data_list(hub_rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    listing = ("data", "list", "--data-dir", hub_rows)
    assert call(*listing, "sst2", "embedded_mood", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "sst2 (SST2): stanfordnlp/sst2 @ " in said
    assert "pool 90, evaluation set 30, fingerprint " in said
    assert "labels: 0 x 15, 1 x 15" in said
    assert "out of distribution: fins, poems" in said
    assert r"prompt: 'Text:review " in said
    assert "embedded_mood (Mood): generated" in said
    assert call(*listing, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.count("prompt: ") >= 12
    assert call(*listing, "sst3", monkeypatch=monkeypatch) == 2
    assert "Did you mean 'sst2'?" in capsys.readouterr().err


def test_data_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("data", "list", "--data-dir", tmp_path, "sst2", "embedded_mood", monkeypatch=monkeypatch) == 1
    said = capsys.readouterr().out
    assert "cannot be loaded" in said and "has no folder 'sst2'" in said
    assert "embedded_mood (Mood)" in said  # the others are listed all the same


def test_data_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    check = ("data", "check", "--data-dir", tmp_path)
    write_hub_rows(tmp_path)
    assert call(*check, monkeypatch=monkeypatch) == 0
    assert "no faults" in capsys.readouterr().out
    with (tmp_path / "sst2" / "train.jsonl").open("a") as file:
        file.write('{"sentence": "fine", "label": 7}\nnot [json]\n')
    (tmp_path / "gsm8k" / "test.jsonl").unlink()
    assert call(*check, monkeypatch=monkeypatch) == 1
    faults = capsys.readouterr().out.splitlines()
    assert len(faults) == 3
    assert any("train.jsonl, line 91: " in fault and "label" in fault for fault in faults)
    assert any("train.jsonl, line 92: not JSON" in fault for fault in faults)
    assert any("gsm8k has no test.jsonl" in fault for fault in faults)
    assert call(*check, "agn", monkeypatch=monkeypatch) == 0
    capsys.readouterr()
    assert call("data", "check", monkeypatch=monkeypatch) == 2
    assert "give --data-dir or set IA2_DATA_DIR" in capsys.readouterr().err


def test_a_leaderboard_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("leaderboard", "build", tmp_path, monkeypatch=monkeypatch) == 2
    assert "holds no records" in capsys.readouterr().err


def test_evaluate_gives_what_lm_eval_gives_for_each_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")  # takes seconds
    tasks = ["ia2_embedded_mood", "ia2_embedded_arithmetic"]
    adapters = [store(LoraAdapter(), tmp_path / "one", seed=1), store(Ia3Adapter(), tmp_path / "two", seed=2)]
    command = ("evaluate", "--base", "embedded", "--adapter", adapters[0], "--adapter", f"second={adapters[1]}")
    command += ("--tasks", ",".join(tasks), "--limit", "8", "--out", tmp_path / "out", "--device", "cpu")
    assert call(*command, monkeypatch=monkeypatch) == 0
    table = capsys.readouterr().out
    for name, directory in zip(("one", "second"), adapters, strict=True):
        arguments = {"pretrained": str(MODEL_DIRECTORY), "peft": str(directory), "dtype": "float32"}
        expected = simple_evaluate(
            model="hf",
            model_args=arguments | {"softmax_dtype": "float32"},
            tasks=tasks,
            task_manager=TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata={}),
            limit=8,
            batch_size=4,
            device="cpu",
        )
        (path,) = (tmp_path / "out" / name).glob("results_*.json")
        found = json.loads(path.read_text())["results"]
        for task, metric in ((tasks[0], "acc,none"), (tasks[0], "ece,none"), (tasks[1], "acc,none")):
            assert found[task][metric] == pytest.approx(expected["results"][task][metric], abs=1e-5)
        assert f"{found[tasks[0]]['ece,none']:.3f}" in table and name in table
    assert call(*command, monkeypatch=monkeypatch) == 0
    assert "2 of 2 have results" in capsys.readouterr().out


def test_mistakes_in_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("evaluate", "--base", "embedded", "--tasks", "ia2_embedded_mood", "--out", tmp_path / "out")
    assert call(*command, monkeypatch=monkeypatch) == 2
    assert "error: there is nothing to evaluate" in capsys.readouterr().err
    assert call(*command, "--adapter", tmp_path, monkeypatch=monkeypatch) == 2
    assert "holds no adapter_config.json" in capsys.readouterr().err
    assert call(*command, "--with-base", "--model", "hf", monkeypatch=monkeypatch) == 2
    assert "--model is 'hf'" in capsys.readouterr().err
    assert call(*command, "--with-base", "--method", "sft", monkeypatch=monkeypatch) == 2
    assert "give --adapters-from RUN" in capsys.readouterr().err


def test_rescore_gives_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path] = []
    monkeypatch.setattr(
        "ia2_eval.experiments.rescore.rescore_run", lambda directory, console: given.append(directory) or 1
    )
    assert call("rescore", tmp_path, monkeypatch=monkeypatch) == 1
    assert given == [tmp_path]


def test_an_interruption_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ia2_eval.leaderboard.build.build", interrupted)
    assert call("leaderboard", "build", "runs/x", monkeypatch=monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_lm_eval_knows_the_tasks_and_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", lambda: "")  # takes seconds
    arguments = ("--model", "ia2-hf", "--model_args", f"pretrained={MODEL_DIRECTORY},dtype=float32", "--device", "cpu")
    tasks = ("--tasks", "ia2_embedded_mood", "--limit", "2", "--output_path", tmp_path)
    assert call("lm-eval", "run", *arguments, *tasks, monkeypatch=monkeypatch) == 0
    table = capsys.readouterr().out
    assert "|ia2_embedded_mood|" in table and "|ece_mass" in table
    assert "|acc_published" in table  # which lm-eval's own models do not tell
    (record,) = read_lm_eval(tmp_path).records
    embedded = locate(Base(model="embedded")).base
    assert (record.cell.base.fingerprint, record.cell.base.dtype) == (embedded.fingerprint, embedded.dtype)


def test_the_model_is_registered_when_its_module_is_there_and_when_it_is_not() -> None:
    code = (
        "import sys; from ia2_eval import cli; import lm_eval.__main__ as main; main.cli_evaluate = lambda: None\n"
        "for _ in range(2):\n"
        "    sys.argv = ['ia2-eval', 'lm-eval', 'run']\n"
        "    try: cli.main()\n"
        "    except SystemExit as ended: assert not ended.code\n"
        "    from lm_eval.api.registry import get_model, model_registry\n"
        "    before = 'ia2_eval.lm.ia2_hf' in sys.modules\n"
        "    print(before, *(get_model(name).__name__ for name in ('ia2-hf', 'hf', 'dummy')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False IA2HF HFLM DummyLM", "True IA2HF HFLM DummyLM"]


@pytest.mark.parametrize(
    ("arguments", "with_tasks"),
    [
        ("run --tasks ia2", True),
        ("--model dummy --tasks ia2", True),  # as lm-eval was called before it had commands
        ("ls tasks", True),
        ("validate --tasks ia2", True),
        ("run", False),  # these print help
        ("--help", False),
        ("", False),
    ],
)
def test_arguments_of_lm_eval(arguments: str, with_tasks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: given.append(sys.argv[1:]))
    assert call("lm-eval", *arguments.split(), monkeypatch=monkeypatch) == 0
    tasks = ["--include_path", str(TASKS_DIRECTORY)] if with_tasks else []
    assert given == [[*arguments.split(), *tasks]]


def test_lm_eval_takes_one_include_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("lm-eval", "run", "--tasks", "mine", "--include_path=mine")
    assert call(*arguments, monkeypatch=monkeypatch) == 2
    assert "--include_path" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert call("run", recipe, "--out", tmp_path / "file" / "out", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "cannot write to --out" in said and "Traceback" not in said
