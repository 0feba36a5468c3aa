"""Workers as processes of this machine: fake ones, and real ones at the end."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.engines import local
from ia2_eval.experiments.engines.choice import EngineChoice
from ia2_eval.experiments.engines.drive import WorkerError
from ia2_eval.experiments.engines.local import LocalEngine, LocalWorkers
from ia2_eval.experiments.engines.sweep import Sweep
from ia2_eval.experiments.record import parse_record
from ia2_eval.experiments.session import Overrides, run_recipe
from ia2_eval.experiments.settings import Settings
from tests.experiments.small_runs import EMBEDDED, results, small_recipe, small_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
SWEEP = Sweep(cells=(), base=EMBEDDED, out=Path("out"), settings=Settings(), workers=2)

MENDABLE = """
from ia2_eval.errors import UserError
from ia2_eval.experiments.engines import worker
import atexit, sys
atexit.register(lambda: print("a library says good-bye\\n  at length", file=sys.stderr))
def fails(*arguments, **named):
    raise UserError("no such model:\\n  give another\\nor none")
worker.be_worker, worker._import_what_cells_need = fails, lambda: None
worker.main()
"""
BOUND = """
import sys, time
from pathlib import Path
from ia2_eval.experiments.engines import worker
def be_worker(sweep, bound_to_input):
    store = worker.Store(Path(sys.argv[1]))
    with worker.working_as(store, bound_to_input):
        print("working", flush=True)
        time.sleep(600)
worker.be_worker, worker._import_what_cells_need = be_worker, lambda: None
worker.main()
"""


def play(script: str, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Have workers run this instead."""
    monkeypatch.chdir(directory)
    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", script))


def look_until(workers: LocalWorkers, lines: int, seen: list[str] | None = None) -> list[str]:
    """Look after the workers until so many lines are there."""
    seen = [] if seen is None else seen
    deadline = time.monotonic() + 60
    while len(seen) < lines:
        assert time.monotonic() < deadline, seen
        seen += workers.look_after().lines
        time.sleep(0.01)
    return seen


def test_workers_get_the_sweep_their_devices_and_their_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(
        "import os, sys; sweep = sys.stdin.readline(); "
        "print(len(sweep), os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'], flush=True); "
        "sys.stdin.read()",
        monkeypatch,
        tmp_path,
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "cores", lambda: 9)
    length = len(SWEEP.model_dump_json()) + 1
    with LocalEngine((("0", "1"), ("2", "3"))).start(SWEEP) as workers:
        assert sorted(look_until(workers, 2)) == [f"worker 1: {length} 0,1 4", f"worker 2: {length} 2,3 4"]


@pytest.mark.parametrize(
    ("end", "how"),
    [("os.kill(os.getpid(), 9)", "killed by SIGKILL"), ("sys.exit(7)", "exit status 7")],
)
def test_a_lost_worker_is_replaced(end: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(
        "import os, sys\n"
        "try: os.close(os.open('lost', os.O_CREAT | os.O_EXCL))\n"
        f"except FileExistsError: print('works', flush=True); sys.stdin.read()\nelse: {end}",
        monkeypatch,
        tmp_path,
    )
    with LocalEngine().start(SWEEP) as workers:
        lines = look_until(workers, 3)
    assert sum(line.endswith(": works") for line in lines) == 2
    assert [line for line in lines if f"was lost ({how}), another one starts" in line]


def test_what_the_user_must_mend_is_said_in_the_workers_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("import sys; print('error: the disk is full', file=sys.stderr); sys.exit(2)", monkeypatch, tmp_path)
    with pytest.raises(UserError, match=r"^the disk is full$"), LocalEngine().start(SWEEP) as workers:
        look_until(workers, 9)


def test_all_that_the_user_must_mend_is_said_and_nothing_that_libraries_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "COMMAND", (sys.executable, "-c", MENDABLE))
    with pytest.raises(UserError) as ended, LocalEngine().start(SWEEP) as workers:
        look_until(workers, 99)
    assert str(ended.value) == "no such model:\n  give another\nor none"


def test_workers_that_have_done_all_are_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("import os, sys; sys.stdin.readline(); os.path.exists('go') or sys.stdin.read()", monkeypatch, tmp_path)
    with LocalEngine().start(SWEEP) as workers:
        assert not workers.look_after().idle
    (tmp_path / "go").touch()
    with LocalEngine().start(SWEEP) as workers:
        for worker in workers.workers:
            assert worker.process and worker.process.wait() == 0
        assert workers.look_after().idle


def test_a_worker_whose_driver_is_gone_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BOUND, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        print(SWEEP.model_dump_json(), file=process.stdin, flush=True)
        assert process.stdout.readline() == "working\n"
        assert list(tmp_path.glob(".work/processes/*.json"))
        process.stdin.close()
        assert process.wait(60) == 75
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_program_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play("def broken(): raise ValueError('of the program')\nbroken()", monkeypatch, tmp_path)
    seen: list[str] = []
    sweep = SWEEP.model_copy(update={"workers": 1})
    with (
        pytest.raises(WorkerError, match=r"met with an error that no cell made$") as ended,
        LocalEngine().start(sweep) as workers,
    ):
        look_until(workers, 99, seen)
    said = "\n".join([*seen, str(ended.value)])
    assert said.index("Traceback") < said.index("in broken") < said.index("ValueError: of the program")


def test_workers_end_with_the_driver_even_those_that_do_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "PATIENCE", 0.2)
    play("import time; print('deaf', flush=True); time.sleep(600)", monkeypatch, tmp_path)
    with LocalEngine().start(SWEEP) as workers:
        look_until(workers, 2)
    assert all(worker.process and worker.process.returncode == -9 for worker in workers.workers)


def test_half_a_line_is_not_shown_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(
        "import sys, time, os\n"
        "sys.stdin.readline(); print('one\\ntw', end='', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n"
        "print('o', flush=True); sys.stdin.read()",
        monkeypatch,
        tmp_path,
    )
    with LocalEngine().start(SWEEP.model_copy(update={"workers": 1})) as workers:
        assert look_until(workers, 1) == ["worker 1: one"]
        (tmp_path / "go").touch()
        assert look_until(workers, 1) == ["worker 1: two"]


@pytest.mark.skipif(local.cores() < 2, reason="needs two cores")
def test_two_workers_give_what_one_gives_though_one_of_them_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--workers 2`, and a kill -9 of the first worker that says that it evaluates something."""
    recipe = small_recipe(seeds=[0, 1], methods=["no_icl", "icl", "sft", "ia2", "ia2_sft"])
    path, out = tmp_path / "recipe.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    look_after, killed = LocalWorkers.look_after, []

    def disturbed(workers: LocalWorkers) -> object:
        for file in [] if killed else out.glob(".work/processes/*.json"):
            process = json.loads(file.read_bytes())
            if process["role"] == "worker" and process["cells"]:
                os.kill(process["pid"], 9)
                killed.append(process["cells"])
                break
        return look_after(workers)

    monkeypatch.setattr(LocalWorkers, "look_after", disturbed)
    console = Console(file=io.StringIO(), width=200)
    settings = Settings(device="cpu")
    status = run_recipe(path, out, Overrides(), settings, console, EngineChoice(workers=2))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert status == 0, said
    assert killed and "was lost (killed by SIGKILL), another one starts" in said
    alone = small_run(recipe, tmp_path / "alone")
    files = sorted(out.glob("records/*.json"))
    assert results([parse_record(file.read_bytes(), file.stem) for file in files]) == dict(
        sorted(results(alone.records).items())
    )
    for record in alone.records:
        samples = record.evaluations[0].samples
        assert (out / samples).read_bytes() == (alone.store.directory / samples).read_bytes()
        if record.cell.trained:
            weights = Path("adapters", record.key, "adapter_model.safetensors")
            assert (out / weights).read_bytes() == (alone.store.directory / weights).read_bytes()
    assert not [file.name for file in out.rglob("*") if file.name.startswith(".") or file.name == "targets"]
