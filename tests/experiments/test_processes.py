from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ia2_eval.errors import UserError
from ia2_eval.experiments.ledger import Ledger
from ia2_eval.experiments.ownership import processes as processes_module
from ia2_eval.experiments.ownership.processes import PATIENCE, Presence, Process, Processes, process_id
from ia2_eval.experiments.ownership.workplace import working_in
from ia2_eval.experiments.store import Store


class Clock:
    """Time as a test lets it pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    (tmp_path / "processes").mkdir()
    return Processes(tmp_path / "processes")


def elsewhere(processes: Processes, name: str = "far", beat: int = 0) -> str:
    """A process of another machine writes its file."""
    process = Process(id=name, role="worker", host="far", machine="another", pid=os.getpid(), beat=beat)
    processes.path(name).write_text(process.model_dump_json())
    return name


def ended() -> int:
    """The number of a process that has ended, and was waited for."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def here(processes: Processes, pid: int, name: str = "near", beat: int = 0) -> str:
    process = Process(id=name, role="worker", host="h", machine=processes_module.this_machine(), pid=pid, beat=beat)
    processes.path(name).write_text(process.model_dump_json())
    return name


def test_a_process_without_a_file_is_dead(processes: Processes) -> None:
    assert processes.is_dead("nobody")
    name = here(processes, os.getpid())
    assert not processes.is_dead(name)
    processes.path(name).unlink()
    assert processes.is_dead(name) and processes.living() == []


def test_a_process_of_another_version_lives_as_long_as_it_says_something_new(
    processes: Processes, clock: Clock
) -> None:
    for beat in range(3):
        processes.path("newer").write_text(json.dumps({"id": "newer", "role": "of later days", "beat": beat}))
        assert not processes.is_dead("newer")
        clock.now += PATIENCE - 1
    clock.now += PATIENCE
    assert processes.is_dead("newer") and processes.gone() == []


def test_a_process_of_this_machine_is_dead_as_soon_as_it_has_ended(processes: Processes) -> None:
    name = here(processes, ended())
    assert processes.is_dead(name)
    assert processes.gone() == [name] and processes.living() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_a_process_that_nobody_has_waited_for_is_dead(processes: Processes) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = here(processes, process.pid)
        assert not processes.is_dead(name)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
        assert processes.is_dead(name)


def test_a_process_of_another_machine_is_dead_after_a_minute_of_silence(processes: Processes, clock: Clock) -> None:
    name = elsewhere(processes)
    assert not processes.is_dead(name), "its number means nothing here"
    clock.now += PATIENCE
    assert not processes.is_dead(name) and [p.id for p in processes.living()] == [name]
    clock.now += 1
    assert processes.is_dead(name) and processes.living() == []
    assert processes.gone() == [], "it may come back"
    elsewhere(processes, beat=1)
    assert not processes.is_dead(name)
    clock.now += PATIENCE + 1
    assert processes.is_dead(name)


def test_silence_counts_from_when_one_began_to_listen(processes: Processes, clock: Clock) -> None:
    name = elsewhere(processes, beat=7)
    clock.now += 10 * PATIENCE
    assert not processes.is_dead(name), "this process has not heard it before"
    late = Processes(processes.directory)
    clock.now += PATIENCE + 1
    assert processes.is_dead(name) and not late.is_dead(name)


def test_a_beat_in_between_is_enough(processes: Processes, clock: Clock) -> None:
    for beat in range(20):
        name = elsewhere(processes, beat=beat)
        clock.now += PATIENCE - 1
        assert not processes.is_dead(name)


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_clocks_that_are_set_change_nothing(
    days: int, processes: Processes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = elsewhere(processes)
    assert not processes.is_dead(name)
    jumped = time.time() + days * 86400
    monkeypatch.setattr(time, "time", lambda: jumped)
    os.utime(processes.path(name), (jumped, jumped))
    clock.now += PATIENCE - 1
    assert not processes.is_dead(name)
    clock.now += 2
    assert processes.is_dead(name)


def test_a_number_that_another_process_has_now(processes: Processes, clock: Clock) -> None:
    """The owner has ended, and its number was given away: nobody writes its heartbeat any more."""
    name = here(processes, os.getppid())
    assert not processes.is_dead(name)
    clock.now += PATIENCE + 1
    assert processes.is_dead(name)


def test_a_heart_beats_while_its_process_works(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes_module, "BEAT_SECONDS", 0.02)
    presence = Presence(processes, "worker", tmp_path / "scratch")
    with presence.beating():
        first = processes.read(process_id())
        assert first and first.pid == os.getpid() and first.role == "worker" and not processes.is_dead(first.id)
        presence.doing("training", ["x", "y"])
        now = processes.read(process_id())
        assert now and (now.doing, now.cells) == ("training", ("x", "y")), (
            "at once: it may be killed in the next moment"
        )
        presence.doing("training: step 3")
        deadline = time.monotonic() + 10
        while (now := processes.read(process_id())) and (now.doing != "training: step 3" or now.beat < first.beat + 4):
            assert time.monotonic() < deadline
        assert now and now.cells == ("x", "y")
        assert processes.living() == [], "but for oneself"
    assert not processes.path(process_id()).exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_full_disk_stops_no_heart(processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes_module, "BEAT_SECONDS", 0.01)
    write, full = processes_module.write_atomically, False

    def write_unless_full(*arguments: object) -> object:
        if full:
            raise OSError(28, "No space left on device")
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(processes_module, "write_atomically", write_unless_full)
    with Presence(processes, "worker", tmp_path / "scratch").beating() as presence:
        before = processes.read(process_id())
        full = True
        time.sleep(0.05)
        presence.doing("training", ["x"])
        full = False
        deadline = time.monotonic() + 10
        while (now := processes.read(process_id())) == before:
            assert time.monotonic() < deadline
    assert now and now.cells == ("x",)


def test_a_directory_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^cannot write to .*file"), working_in(Store(tmp_path / "file"), "worker"):
        pass


def test_a_folder_that_vanishes_at_the_start_is_made_again(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that end remove folders that are empty."""
    write, failed = processes_module.write_atomically, []

    def vanishing(path: Path, *rest: object) -> object:
        if not failed:
            failed.append(path)
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(processes_module, "write_atomically", vanishing)
    with Presence(processes, "worker", tmp_path / "scratch").beating():
        assert failed and processes.read(process_id())


@pytest.mark.parametrize(("role", "other"), [("worker", "rescore"), ("rescore", "driver"), ("rescore", "rescore")])
def test_nothing_runs_beside_a_rescoring(role: str, other: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.processes_path.mkdir(parents=True)
    process = Process(id="other", role=other, host="far", machine="another", pid=7)  # type: ignore[arg-type]
    path = Processes(store.processes_path).path("other")
    path.write_text(process.model_dump_json())
    with pytest.raises(UserError, match="far, process 7"), working_in(store, role):  # type: ignore[arg-type]
        pass
    assert list(store.processes_path.iterdir()) == [path]


def test_many_may_work_in_a_directory_and_the_last_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    script = (
        "import sys; from pathlib import Path; from ia2_eval.experiments.store import Store\n"
        "from ia2_eval.experiments.ownership.workplace import working_in\n"
        "with working_in(Store(Path(sys.argv[1])), 'driver') as place:\n"
        "    place.leases.acquire([sys.argv[2]]); print('working', flush=True); sys.stdin.read()\n"
        "    place.leases.release(sys.argv[2])"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for key in ("x", "y")
    ]
    try:
        for other in others:
            assert other.stdout and other.stdout.readline() == "working\n"
        with working_in(store, "driver") as place:
            assert [process.role for process in place.processes.living()] == ["driver", "driver"]
            assert not place.leases.acquire(["x"]) and not place.leases.acquire(["y"])
            others[0].kill()
            others[0].wait()
            assert place.leases.acquire(["x"]), "at once: it ran on this machine"
            assert len(place.processes.gone()) == 1
            with place.tidied(Ledger(store, [])):
                place.leases.forget("x")
            assert place.processes.gone() == []
        others[1].communicate("", timeout=60)
    finally:
        for other in others:
            other.kill()
            other.communicate()
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_left_that_was_killed_before_its_first_heartbeat(tmp_path: Path) -> None:
    store = Store(tmp_path)
    host = process_id().rsplit("-", 2)[0]
    names = [f"{host}-{ended()}-abcdef", f"{host}-{os.getppid()}-abcdef", "far-1-abcdef"]
    for name in names:
        store.partial_path(name).mkdir(parents=True)
    with working_in(store, "driver") as place, place.tidied(Ledger(store, [])):
        pass
    assert sorted(path.name for path in (tmp_path / ".work" / "partial").iterdir()) == sorted(names[1:])
