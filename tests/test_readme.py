"""Every command and example of the README is run; a small model and invented rows stand for what needs a network."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.experiments.store import Store
from tests.benchmarks.hub_rows import write_hub_rows
from tests.conftest import heed_interrupts

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HUB_MODEL = "Qwen/Qwen3-0.6B-Base"
COMMANDS = [
    command
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for command in block.replace("\\\n", " ").splitlines()
]
PYTHON_EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
LONG_RUN = "ia2-eval run paper_single_token_qwen3_4b --out runs/paper"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to run the commands in: the project's tasks, and invented rows in `data`."""
    directory = tmp_path_factory.mktemp("desk")
    (directory / "tasks").symlink_to(ROOT / "tasks")
    write_hub_rows(directory / "data")
    return directory


def environment(desk: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "IA2_DATA_DIR": str(desk / "data"), "HF_HUB_OFFLINE": "1"}


def stand_in(command: str) -> str:
    """The command with the embedded model in place of the one that would be downloaded."""
    command = command.replace(HUB_MODEL, str(MODEL_DIRECTORY)).replace("bfloat16", "float32")
    if command.startswith(("lm_eval run", "ia2-eval lm-eval run")):
        return f"{command} --limit 4 --device cpu"
    if command.startswith("ia2-eval evaluate"):
        return f"{command} --limit 4"
    return f"{command} --base embedded --limit 4" if command.startswith("ia2-eval run") else command


def run(command: str, desk: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(stand_in(command)), cwd=desk, env=environment(desk), capture_output=True, text=True, timeout=900
    )


def test_the_commands_are_those_that_are_tested_here() -> None:
    make = ["make demo", "make install"]
    assert [c for c in COMMANDS if not c.startswith(("lm_eval ", "ia2-eval "))] == [*make, "source .venv/bin/activate"]
    assert LONG_RUN in COMMANDS


@pytest.fixture(scope="module")
def outputs(desk: Path) -> dict[str, str]:
    """What each command printed, run in the README's order; the long run and `make` have tests of their own."""
    printed = {}
    for command in COMMANDS:
        if command.startswith(("lm_eval ", "ia2-eval ")) and command != LONG_RUN:
            done = run(command, desk)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            printed[command] = done.stdout + done.stderr
    return printed


def test_commands_print_what_the_readme_says(outputs: dict[str, str], desk: Path) -> None:
    lm_eval = next(text for command, text in outputs.items() if command.startswith("lm_eval run"))
    assert "ia2_sst2" in lm_eval and "ece" in lm_eval
    assert list((desk / "runs" / "lm_eval").rglob("samples_ia2_sst2_*.jsonl"))
    board = outputs["ia2-eval leaderboard build runs/quickstart"]
    assert "IA2 → SFT" in board and "missing" not in board
    assert len(list((desk / "runs" / "quickstart" / "adapters").iterdir())) == 24
    assert "no faults" in outputs["ia2-eval data check --data-dir data"]
    assert "hmatha" in outputs["ia2-eval data list"]
    for name in ("leaderboard.csv", "leaderboard.md", "plots"):
        assert (desk / "runs" / "quickstart" / name).exists()


def test_an_adapter_of_the_quickstart_loads_in_plain_lm_eval(outputs: dict[str, str], desk: Path) -> None:
    adapter = next((desk / "runs" / "quickstart" / "adapters").iterdir())
    done = run(
        f"lm_eval run --include_path tasks --tasks ia2_sst2 --model hf "
        f"--model_args pretrained={HUB_MODEL},peft={adapter},dtype=float32",
        desk,
    )
    assert done.returncode == 0, done.stderr
    assert "ia2_sst2" in done.stdout


def test_the_long_run_can_be_interrupted(desk: Path) -> None:
    process = subprocess.Popen(
        shlex.split(stand_in(LONG_RUN)),
        cwd=desk,
        env=environment(desk),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    records = desk / "runs" / "paper" / "records"
    deadline = time.monotonic() + 300
    while not list(records.glob("*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "the same command continues" in printed
    assert all(Store(records.parent).record(path.stem) for path in records.glob("*.json"))


def test_python_examples_run(desk: Path) -> None:
    assert PYTHON_EXAMPLES
    for example in PYTHON_EXAMPLES:
        code = example.replace(HUB_MODEL, str(MODEL_DIRECTORY)).replace("limit=100", "limit=4")
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=desk, env=environment(desk), capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        assert "acc,none" in done.stdout


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "tasks" / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(<?([^)#>]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"
